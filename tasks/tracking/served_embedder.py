"""The registered embedder, as code MLflow keeps beside the weights and runs when it is loaded.

Embeds whole documents as `corpusmith embed` does: windows, weighted sum over all positions of all
windows, normalised once. Stands alone: MLflow copies this one file and may run it where corpusmith
is not installed.

Shape letters: W windows of a batch, L positions of the longest, D embedding width, N texts.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import AutoModel

ARTIFACT = "embedder"  # name under which the embedder's folder is kept
DIM = "dim"  # key of the model's configuration: the width that vectors are cut to
_NUM_SPECIALS = 2  # [CLS] and [SEP] of each window
_POSITIONS_PER_BATCH = 8192


class DocumentEmbedder(PythonModel):
    """Texts in, unit vectors out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the embedder's folder.

        Raises:
            ValueError: it pools in a way this code does not know, or was not trained to be cut to
                the width that the model's configuration asks for.
        """
        folder = Path(context.artifacts[ARTIFACT])
        about = json.loads((folder / "embedder.json").read_text("utf-8"))
        if about["pooling"] != "weighted_mean":
            raise ValueError(f"{folder} asks for {about['pooling']!r} pooling, unknown here")
        dims = {about["dim"], *about["matryoshka_dims"]}
        self._dim = (context.model_config or {}).get(DIM) or about["dim"]
        if self._dim not in dims:
            raise ValueError(f"dim {self._dim}: the embedder gives {sorted(dims, reverse=True)}")
        self._tokens_per_window = about["max_window_tokens"] - _NUM_SPECIALS
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True  # in a text they are text
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._encoder = AutoModel.from_pretrained(str(folder)).float().eval()
        weighting = json.loads((folder / "1_WordWeights" / "config.json").read_text("utf-8"))
        weights = [weighting["word_weights"][token] for token in weighting["vocab"]]
        self._weights_V = torch.tensor(weights, dtype=torch.float64)

    def predict(self, context: PythonModelContext, model_input: list[str]) -> NDArray[np.float32]:
        """Embed whole texts: float32 [number of texts, dimension], each row of unit length."""
        encodings = self._tokenizer.encode_batch_fast(list(model_input), add_special_tokens=False)
        windows = [
            (text, encoding.ids[start:stop])
            for text, encoding in enumerate(encodings)
            for start, stop in self._windows(len(encoding.ids))
        ]
        sums_ND = np.zeros((len(encodings), self._encoder.config.hidden_size))
        for batch in self._batches(windows):
            np.add.at(sums_ND, [text for text, _ in batch], self._sums([ids for _, ids in batch]))
        cut_ND = sums_ND[:, : self._dim]
        vectors_ND: NDArray[np.float32] = (
            cut_ND / np.linalg.norm(cut_ND, axis=1, keepdims=True)
        ).astype(np.float32)
        return vectors_ND

    def _windows(self, num_tokens: int) -> list[tuple[int, int]]:
        """As few as fit, of lengths that differ by at most one token; one where there is none."""
        count = max(1, -(-num_tokens // self._tokens_per_window))
        return list(pairwise(num_tokens * index // count for index in range(count + 1)))

    def _batches(self, windows: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
        """Windows of similar length, as many together as memory is meant for."""
        ordered = sorted(windows, key=lambda window: -len(window[1]))
        batches, begin = [], 0
        while begin < len(ordered):
            longest = len(ordered[begin][1]) + _NUM_SPECIALS
            end = begin + max(1, _POSITIONS_PER_BATCH // longest)
            batches.append(ordered[begin:end])
            begin = end
        return batches

    def _sums(self, windows: list[list[int]]) -> NDArray[np.float64]:
        """The weighted sum of the hidden states of each window, float64 [W, D]."""
        config = self._encoder.config
        rows = [[config.cls_token_id, *ids, config.sep_token_id] for ids in windows]
        longest = max(map(len, rows))
        ids_WL = torch.tensor([row + [config.pad_token_id] * (longest - len(row)) for row in rows])
        mask_WL = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            hidden_WLD = self._encoder(ids_WL, attention_mask=mask_WL).last_hidden_state
            weights_WL = self._weights_V[ids_WL] * mask_WL
            sums_WD: NDArray[np.float64] = (hidden_WLD * weights_WL[..., None]).sum(1).numpy()
        return sums_WD


set_model(DocumentEmbedder())
