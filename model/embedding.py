"""Whole documents to unit vectors: windows, sum over all tokens of all windows, normalised once.

Shape letters: T documents, W windows, D embedding width, K layers, V tokens of the vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batch import Batch, batch_from_sequences
from model.encoder import Encoder
from model.errors import ArtifactError, CorpusError
from model.pooling import sum_pool

TokenIds = NDArray[np.integer]

SPECIALS_PER_WINDOW = 2  # [CLS] and [SEP]
_MAX_WINDOWS = np.iinfo(np.int16).max


@dataclass(frozen=True)
class DocumentVectors:
    """Embeddings of n documents.

    Attributes:
        vectors: float32 [n, D], each of unit length.
        num_windows: int16 [n], at least 1.
    """

    vectors: NDArray[np.float32]
    num_windows: NDArray[np.int16]


@dataclass(frozen=True)
class Windows:
    """The windows of several documents, in document order: tokens [start, stop) of a document."""

    documents_W: NDArray[np.int64]
    starts_W: NDArray[np.int64]
    stops_W: NDArray[np.int64]

    @property
    def num_positions_W(self) -> NDArray[np.int64]:
        """Positions the encoder sees for each window, [CLS] and [SEP] included."""
        return self.stops_W - self.starts_W + SPECIALS_PER_WINDOW

    def num_windows(self, num_documents: int) -> NDArray[np.int16]:
        """Windows of each document."""
        return np.bincount(self.documents_W, minlength=num_documents).astype(np.int16)


def split_into_windows(length_tokens: int, max_window_tokens: int) -> list[tuple[int, int]]:
    """Cut a document into as few windows as fit, of lengths that differ by at most one token.

    Args:
        length_tokens: tokens of the document, without special tokens.
        max_window_tokens: positions of a window, [CLS] and [SEP] included; above 2.

    Returns:
        (start, stop) of each window in order. A document without a token has one empty window.
    """
    capacity = max_window_tokens - SPECIALS_PER_WINDOW
    num_windows = max(1, -(-length_tokens // capacity))
    edges = [length_tokens * index // num_windows for index in range(num_windows + 1)]
    return list(pairwise(edges))


def plan_windows(lengths: Sequence[int], max_window_tokens: int) -> Windows:
    """The windows of documents of the given lengths.

    Raises:
        ValueError: a window would have no room for a token.
        CorpusError: a document needs more windows than its count can say.
    """
    if max_window_tokens <= SPECIALS_PER_WINDOW:
        raise ValueError(f"a window of {max_window_tokens} positions has no room for a token")
    rows = [
        (document, start, stop)
        for document, length in enumerate(lengths)
        for start, stop in split_into_windows(length, max_window_tokens)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    counts = np.bincount(table[:, 0], minlength=1)
    if counts.max() > _MAX_WINDOWS:
        longest = int(counts.argmax())
        raise CorpusError(
            f"a document of {lengths[longest]} tokens needs {counts.max()} windows of "
            f"{max_window_tokens}, more than {_MAX_WINDOWS}: split it before ingest"
        )
    return Windows(table[:, 0], table[:, 1], table[:, 2])


def embed_documents(
    encoder: Encoder,
    documents: Sequence[TokenIds],
    *,
    max_window_tokens: int,
    tokens_per_batch: int,
    weights_V: Tensor | None = None,
    precision: torch.dtype = torch.float32,
) -> DocumentVectors:
    """Embed whole documents, however long, one unit vector each.

    A document's vector is the sum over all positions of all its windows ([CLS] and [SEP] of each
    included), normalised once. Nothing is cut off. In float32 a vector differs by at most 1e-5
    whatever its neighbours, their order and the batch budget; in bfloat16 by a cosine of 0.9999.

    Args:
        documents: raw token ids of each document, without special tokens.
        max_window_tokens: positions of a window, special tokens included.
        tokens_per_batch: positions encoded at once, padding included; bounds memory only.
        weights_V: how much each token counts in the sum; all alike where None.
        precision: what matrix products are computed in; sums are float32 and float64 always.

    Raises:
        CorpusError: a document of more than 32,767 windows.
        ArtifactError: the encoder gives a vector that is not finite, or has no direction.

    Cost: one forward pass over all tokens, longest windows first, so padding is a few percent.
    """
    windows = plan_windows([len(document) for document in documents], max_window_tokens)
    sums_WD = embed_windows(
        encoder,
        documents,
        windows,
        tokens_per_batch=tokens_per_batch,
        weights_V=weights_V,
        precision=precision,
    )
    vectors_TD = combine_windows(sums_WD, windows)
    return DocumentVectors(vectors_TD, windows.num_windows(len(documents)))


def embed_windows(
    encoder: Encoder,
    documents: Sequence[TokenIds],
    windows: Windows,
    *,
    tokens_per_batch: int,
    weights_V: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] = lambda num_windows: None,
) -> NDArray[np.float32]:
    """The pooled vector of each window, float32 [W, D], not normalised, in the windows' order.

    `on_batch` hears how many windows each batch had.
    """
    sums_WD = np.empty((len(windows.starts_W), encoder.config.hidden_size), dtype=np.float32)
    for indices, batch in _batches(encoder, documents, windows, tokens_per_batch):
        with _inference(encoder, batch, precision):
            sums_WD[indices] = sum_pool(encoder(batch), batch, weights_V).cpu().numpy()
        on_batch(len(indices))
    return sums_WD


def embed_layers(
    encoder: Encoder,
    documents: Sequence[TokenIds],
    windows: Windows,
    *,
    layers: Sequence[int],
    tokens_per_batch: int,
    normed: bool = False,
    weights_V: Tensor | None = None,
    precision: torch.dtype = torch.float32,
    on_batch: Callable[[int], None] = lambda num_windows: None,
) -> NDArray[np.float32]:
    """What `embed_windows` gives, of several layers from one forward pass.

    Args:
        layers: 0 = the embeddings, k = the output of the k-th layer, the last one after the final
            norm; in any order.
        normed: the final norm after every layer, not the last only: then those of layer k are what
            `Encoder.cut(k)` would give.

    Returns:
        sums_KWD: float32, one [W, D] for each of `layers`, in their order.

    Raises:
        ValueError: the encoder has no such layer.

    Cost: one forward pass over all tokens and a pooling a layer; one layer's hidden states at a
    time.
    """
    last = encoder.config.num_layers
    if wrong := [layer for layer in layers if not 0 <= layer <= last]:
        raise ValueError(f"layer {wrong[0]} is none of this encoder's 0 to {last}")
    shape = (len(layers), len(windows.starts_W), encoder.config.hidden_size)
    sums_KWD = np.empty(shape, dtype=np.float32)
    for indices, batch in _batches(encoder, documents, windows, tokens_per_batch):
        with _inference(encoder, batch, precision):
            for seen in encoder.observe(batch):
                if seen.layer in layers:
                    hidden_BLD = seen.hidden_BLD
                    if normed and seen.layer < last:
                        hidden_BLD = encoder.final_norm(hidden_BLD)
                    pooled_SD = sum_pool(hidden_BLD, batch, weights_V).cpu().numpy()
                    for place in np.flatnonzero(np.equal(layers, seen.layer)):
                        sums_KWD[place, indices] = pooled_SD
        on_batch(len(indices))
    return sums_KWD


def combine_windows(sums_WD: NDArray[np.float32], windows: Windows) -> NDArray[np.float32]:
    """One unit vector a document from its windows' sums.

    Returns:
        vectors_TD: float32. Sums are float64, in window order.
    """
    if not len(sums_WD):
        return sums_WD
    first_windows_T = np.flatnonzero(np.diff(windows.documents_W, prepend=-1))
    return normalized(np.add.reduceat(sums_WD.astype(np.float64), first_windows_T, axis=0))


def normalized(vectors_TD: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each row scaled to unit length, float32.

    Raises:
        ArtifactError: a row is not finite or is zero, so the weights that made it are unusable.
    """
    norms_T = np.linalg.norm(vectors_TD.astype(np.float64), axis=1)
    is_usable_T = np.isfinite(norms_T) & (norms_T > 0)
    if not is_usable_T.all():
        raise ArtifactError(
            f"the embedder gives {int((~is_usable_T).sum())} of {len(norms_T)} vectors that are "
            "zero or not finite: its weights are unusable, train it again"
        )
    unit_TD: NDArray[np.float32] = (vectors_TD / norms_T[:, None]).astype(np.float32)
    return unit_TD


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Mixed precision for the operations that bear it; does nothing for float32."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


@contextmanager
def _inference(encoder: Encoder, batch: Batch, precision: torch.dtype) -> Iterator[None]:
    """No gradients, no dropout, and the asked precision."""
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode(), autocast(batch.token_ids_BL.device, precision):
            yield
    finally:
        encoder.train(was_training)


def _batches(
    encoder: Encoder, documents: Sequence[TokenIds], windows: Windows, tokens_per_batch: int
) -> Iterator[tuple[NDArray[np.int64], Batch]]:
    """Indices of windows and the batch that holds them, on the encoder's device."""
    device = next(encoder.parameters()).device
    for indices in _batches_by_length(windows.num_positions_W, tokens_per_batch):
        sequences = [
            documents[windows.documents_W[w]][windows.starts_W[w] : windows.stops_W[w]]
            for w in indices
        ]
        batch = _batch(sequences, encoder)
        given = torch.bincount(batch.sequence_ids_BL.flatten(), minlength=len(indices) + 1)[1:]
        assert np.array_equal(given.numpy(), windows.num_positions_W[indices]), "tokens were lost"
        yield indices, batch.to(device)


def _batches_by_length(
    num_positions_W: NDArray[np.int64], tokens_per_batch: int
) -> Iterator[NDArray[np.int64]]:
    """Indices of windows that are encoded together: of similar length, within the budget.

    A window longer than the budget makes a batch alone.
    """
    order_W = np.argsort(-num_positions_W, kind="stable")
    begin = 0
    while begin < len(order_W):
        longest = int(num_positions_W[order_W[begin]])
        end = begin + max(1, tokens_per_batch // longest)
        yield order_W[begin:end]
        begin = end


def _batch(sequences: Sequence[TokenIds], encoder: Encoder) -> Batch:
    config = encoder.config
    return batch_from_sequences(
        sequences,
        row_tokens=None,
        cls_id=config.cls_id,
        sep_id=config.sep_id,
        pad_id=config.pad_id,
    )
