"""Masked language modelling: the head over the encoder and its loss.

The attributes are named so that `state_dict` has the keys of Hugging Face's ModernBertForMaskedLM.
Letters: B rows, L positions, M masked positions, D hidden width, V vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.batch import Batch
from model.config import EncoderConfig
from model.encoder import AttentionPath, Encoder
from model.prediction_loss import IGNORED, LogitGradients, logit_gradients, prediction_loss


class PredictionHead(nn.Module):
    """A dense layer, GELU and a norm before the decoder."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=False)

    def forward(self, hidden_MD: Tensor) -> Tensor:
        output_MD: Tensor = self.norm(functional.gelu(self.dense(hidden_MD)))
        return output_MD


class MaskedLanguageModel(nn.Module):
    """The encoder with a head and a decoder, which is the embedding table or its own matrix.

    The decoder's bias is its own in either case; see `EncoderConfig.tie_embeddings`.
    """

    def __init__(self, config: EncoderConfig, *, attention: AttentionPath = "auto") -> None:
        super().__init__()
        self.config = config
        self.model = Encoder(config, attention=attention)
        self.head = PredictionHead(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        if config.tie_embeddings:
            self.decoder.weight = self.model.embeddings.tok_embeddings.weight
        self.compiled_gradients: LogitGradients | None = None

    def compile_parts(self, *, backend: str = "inductor") -> None:
        """Let layers and loss be compiled when they are first used; weights and names stay.

        For CUDA: the ways through attention and loss that a processor takes are fast as they are,
        and the former does not compile.
        """
        for layer in self.model.layers:
            layer.compile(backend=backend)
        self.compiled_gradients = torch.compile(logit_gradients, backend=backend)

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """Scores ``logits_MV`` of every token of the vocabulary; any leading dimensions."""
        logits_MV: Tensor = self.decoder(self.head(hidden_MD))
        return logits_MV

    def forward(self, batch: Batch, positions_M: Tensor) -> Tensor:
        """Scores ``logits_MV`` at `positions_M` (int64, in the flattened batch) only.

        Exact: what is left out would not enter the loss, and is most of a small model's work.
        """
        return self.logits(self.model(batch, positions_M))


class MaskedLoss(nn.Module):
    """The loss of a masked language model as a module, so that ranks can share its gradient."""

    def __init__(self, model: MaskedLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, positions_M: Tensor, targets_M: Tensor) -> Tensor:
        """What `summed_loss` says of the model's scores, without ever holding all of them."""
        hidden_MD = self.model.head(self.model.model(batch, positions_M))
        kind = hidden_MD.device.type
        if torch.is_autocast_enabled(kind):
            hidden_MD = hidden_MD.to(torch.get_autocast_dtype(kind))
        decoder = self.model.decoder
        compiled = self.model.compiled_gradients
        return prediction_loss(hidden_MD, decoder.weight, decoder.bias, targets_M, compiled)


def summed_loss(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Cross-entropy in nats, float32, summed over the targets that are not `IGNORED`."""
    return functional.cross_entropy(
        logits_MV.float(), targets_M, ignore_index=IGNORED, reduction="sum"
    )
