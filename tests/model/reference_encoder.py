"""The encoder once more, a document at a time, in as few lines as its formulas take.

Slow and plain on purpose: proofs compare the real encoder with it.
Letters: L positions of a document, Q of them asked for, D hidden width, H heads, E head size,
F half of it, M masked positions.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.batch import Batch
from model.config import EncoderConfig
from model.encoder import Encoder
from model.mlm import MaskedLanguageModel
from model.rotary import rotary_table

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def attend(query_HQE: Tensor, key_HLE: Tensor, value_HLE: Tensor, sees_QL: Tensor) -> Tensor:
    """Vaswani et al. 2017, equation 1, for those who see each other."""
    scores_HQL = query_HQE @ key_HLE.mT / math.sqrt(query_HQE.shape[-1])
    return scores_HQL.masked_fill(~sees_QL, -math.inf).softmax(-1) @ value_HLE


def torch_attend(query_HQE: Tensor, key_HLE: Tensor, value_HLE: Tensor, sees_QL: Tensor) -> Tensor:
    """The same by torch's kernel."""
    mixed_1HQE: Tensor = functional.scaled_dot_product_attention(
        query_HQE[None], key_HLE[None], value_HLE[None], attn_mask=sees_QL
    )
    return mixed_1HQE[0]


def turned(vectors_HLE: Tensor, positions_L: Tensor, theta: float) -> Tensor:
    """Each pair of components as a complex number, turned by the angle of its position."""
    cos_1LF, sin_1LF = rotary_table(positions_L[None], head_size=vectors_HLE.shape[-1], theta=theta)
    turns_LF = torch.complex(cos_1LF[0].to(vectors_HLE.dtype), sin_1LF[0].to(vectors_HLE.dtype))
    turned_HLF = torch.complex(*vectors_HLE.chunk(2, dim=-1)) * turns_LF
    return torch.cat((turned_HLF.real, turned_HLF.imag), dim=-1)


def sees(positions_Q: Tensor, positions_L: Tensor, half_window: int | None) -> Tensor:
    """Who of a document sees whom of it, ``sees_QL``."""
    distances_QL = (positions_Q[:, None] - positions_L[None, :]).abs()
    return distances_QL <= (math.inf if half_window is None else half_window)


def attention_output(
    hidden_LD: Tensor,
    attention: nn.Module,
    config: EncoderConfig,
    *,
    full: bool,
    positions_L: Tensor | None = None,
    asked_Q: Tensor | None = None,
    by: Attend = attend,
) -> Tensor:
    """``mixed_QD``: what an attention block gives the positions of one document asked for."""
    positions_L = torch.arange(len(hidden_LD)) if positions_L is None else positions_L
    asked_Q = torch.arange(len(hidden_LD)) if asked_Q is None else asked_Q
    theta = config.global_rope_theta if full else config.local_rope_theta
    query_LD, key_LD, value_LD = (hidden_LD @ attention.Wqkv.weight.T).chunk(3, dim=-1)
    mixed_HQE = by(
        turned(_heads(query_LD[asked_Q], config), positions_L[asked_Q], theta),
        turned(_heads(key_LD, config), positions_L, theta),
        _heads(value_LD, config),
        sees(positions_L[asked_Q], positions_L, None if full else config.local_attention // 2),
    )
    return mixed_HQE.transpose(0, 1).flatten(1) @ attention.Wo.weight.T


def document_states(encoder: Encoder, token_ids_L: Tensor) -> Tensor:
    """``hidden_LD`` of one document after the final norm; gradients reach the encoder."""
    positions_L = torch.arange(len(token_ids_L))
    hidden_LD = norm(encoder.embeddings.tok_embeddings.weight[token_ids_L], encoder.embeddings.norm)
    for k in range(encoder.config.num_layers):
        hidden_LD = layer_output(encoder, k, hidden_LD, positions_L, positions_L)
    return norm(hidden_LD, encoder.final_norm)


def layer_output(
    encoder: Encoder, k: int, hidden_LD: Tensor, positions_L: Tensor, asked_Q: Tensor
) -> Tensor:
    """``hidden_QD`` after layer `k`, of the places in `hidden_LD` asked for."""
    layer = encoder.layers[k]
    mixed_QD = attention_output(
        hidden_LD if k == 0 else norm(hidden_LD, layer.attn_norm),
        layer.attn,
        encoder.config,
        full=k % encoder.config.global_attn_every_n_layers == 0,
        positions_L=positions_L,
        asked_Q=asked_Q,
    )
    hidden_QD = hidden_LD[asked_Q] + mixed_QD
    input_QI, gate_QI = (norm(hidden_QD, layer.mlp_norm) @ layer.mlp.Wi.weight.T).chunk(2, dim=-1)
    return hidden_QD + (gelu(input_QI) * gate_QI) @ layer.mlp.Wo.weight.T


def document_loss(
    model: MaskedLanguageModel, token_ids_L: Tensor, positions_M: Tensor, targets_M: Tensor
) -> Tensor:
    """Minus the logarithm of what the targets of one document get, summed."""
    hidden_MD = document_states(model.model, token_ids_L)[positions_M]
    hidden_MD = norm(gelu(hidden_MD @ model.head.dense.weight.T), model.head.norm)
    logits_MV = hidden_MD @ model.decoder.weight.T + model.decoder.bias
    return -logits_MV.softmax(-1)[torch.arange(len(targets_M)), targets_M].log().sum()


def norm(hidden_LD: Tensor, module: nn.Module) -> Tensor:
    """Ba et al. 2016, "Layer Normalization", without bias."""
    centred_LD = hidden_LD - hidden_LD.mean(-1, keepdim=True)
    variance_L1 = centred_LD.pow(2).mean(-1, keepdim=True)
    return centred_LD / (variance_L1 + module.eps).sqrt() * module.weight


def gelu(values: Tensor) -> Tensor:
    """Hendrycks and Gimpel 2016, the exact form."""
    return values * (1 + torch.erf(values / math.sqrt(2))) / 2


def gradients(loss: Tensor, module: nn.Module) -> list[Tensor]:
    """Of `loss` by every parameter of `module`; zeros where it does not enter."""
    parameters = list(module.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return [gradient.detach() for gradient in found]


def laid_out(rows: Sequence[Sequence[Tensor]], row_tokens: int) -> Batch:
    """Documents (int64, at least one token, nothing is added) one after another in their rows."""
    token_ids_BL, sequence_ids_BL, positions_BL = torch.zeros(
        3, len(rows), row_tokens, dtype=torch.int64
    )
    number = 0
    for row, documents in enumerate(rows):
        column = 0
        for document in documents:
            number += 1
            end = column + len(document)
            token_ids_BL[row, column:end] = document
            sequence_ids_BL[row, column:end] = number
            positions_BL[row, column:end] = torch.arange(len(document))
            column = end
    return Batch(token_ids_BL, sequence_ids_BL, positions_BL, number)


def _heads(vectors_LD: Tensor, config: EncoderConfig) -> Tensor:
    return vectors_LD.unflatten(-1, (config.num_heads, -1)).transpose(0, 1)
