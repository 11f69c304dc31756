"""Passes through the encoder over words: their states in every layer, and attention among them.

Letters: K layers (embeddings included), W words, D hidden width, H heads,
B rows, L positions, S sentences of a batch, P pairs of a token and a word.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from model.batch import Batch
from model.intervals import sum_by_group
from tasks.probe.observe import TOKENS_PER_BATCH, Observable, batches
from tasks.probe.treebank.word_tokens import Aligned, AlignedSentence

Pooling = Literal["mean", "first"]


@dataclass(frozen=True)
class SentenceAttention:
    """One layer's attention inside one sentence.

    Attributes:
        sentence: its place among the aligned sentences.
        layer: from 1.
        attention_HLL: float32 over ``[CLS] tokens [SEP]``, queries down and keys across; a view
            that lives as long as the step that gave it.
        is_part_WL: bool, which positions are of which of its words; special tokens are of none.
    """

    sentence: int
    layer: int
    attention_HLL: Tensor
    is_part_WL: Tensor


@torch.inference_mode()
def word_states(
    encoder: Observable,
    aligned: Aligned,
    *,
    pooling: Pooling = "mean",
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Tensor:
    """Every word's state in every layer, from one pass: float32 [K, W, D], sentence by sentence.

    Args:
        encoder: reads each sentence alone, between its special tokens.
        aligned: which tokens are whose.
        pooling: ``mean`` of a word's tokens, or its ``first`` one.
        tokens_per_batch: most tokens of a batch, a longer sentence apart.

    Memory: 4 K W D bytes, where the encoder is.
    """
    by_layer: dict[int, list[Tensor]] = {}
    for batch, first in batches(encoder, _token_ids(aligned), tokens_per_batch):
        sentences = aligned.sentences[first : first + batch.num_sequences]
        position_P, word_P, num_words = _word_positions(batch, sentences, pooling)
        count_W1 = torch.bincount(word_P, minlength=num_words)[:, None]
        for seen in encoder.observe(batch):
            states_PD = seen.hidden_BLD.flatten(0, 1)[position_P]
            sums_WD = sum_by_group(states_PD, word_P, num_words)
            by_layer.setdefault(seen.layer, []).append((sums_WD / count_W1).float())
    return torch.stack([torch.cat(by_layer[layer]) for layer in sorted(by_layer)])


@torch.inference_mode()
def sentence_attention(
    encoder: Observable, aligned: Aligned, *, tokens_per_batch: int = TOKENS_PER_BATCH
) -> Iterator[SentenceAttention]:
    """Attention of every sentence in every layer, batch by batch and layer by layer.

    Only one layer's maps of one batch are kept: 4 H B L² bytes.
    """
    for batch, first in batches(encoder, _token_ids(aligned), tokens_per_batch):
        sentences = aligned.sentences[first : first + batch.num_sequences]
        starts_S = _starts(batch)
        parts = [_parts(one).to(starts_S.device) for one in sentences]
        num_columns = batch.token_ids_BL.shape[1]
        places = [divmod(start, num_columns) for start in starts_S.tolist()]
        for seen in encoder.observe(batch, attention=True):
            if seen.attention_BHLL is None:
                continue
            for number, (row, start) in enumerate(places):
                inside = slice(start, start + parts[number].shape[1])
                attention_HLL = seen.attention_BHLL[row, :, inside, inside]
                yield SentenceAttention(first + number, seen.layer, attention_HLL, parts[number])


def _token_ids(aligned: Aligned) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    return [sentence.tokens_L for sentence in aligned.sentences]


def _starts(batch: Batch) -> Tensor:
    """Where in the flattened batch each sequence has its [CLS]: int64 [S]."""
    sequence_M = batch.sequence_ids_BL.flatten()
    first_M = (sequence_M > 0) & (batch.positions_BL.flatten() == 0)
    starts_S = torch.empty(batch.num_sequences, dtype=torch.int64, device=sequence_M.device)
    found_S = first_M.nonzero().flatten()
    starts_S[sequence_M[found_S] - 1] = found_S
    return starts_S


def _word_positions(
    batch: Batch, sentences: Sequence[AlignedSentence], pooling: Pooling
) -> tuple[Tensor, Tensor, int]:
    """Positions in the flattened batch, the word of each, and how many words there are."""
    starts = _starts(batch).tolist()
    positions, words, num_words = [], [], 0
    for start, sentence in zip(starts, sentences, strict=True):
        token_P, word_P = sentence.token_P, sentence.word_P
        if pooling == "first":
            is_first_P = np.diff(word_P, prepend=-1) > 0
            token_P, word_P = token_P[is_first_P], word_P[is_first_P]
        positions.append(token_P + start + 1)
        words.append(word_P + num_words)
        num_words += sentence.num_words
    device = batch.token_ids_BL.device
    position_P = torch.from_numpy(np.concatenate(positions)).to(device)
    return position_P, torch.from_numpy(np.concatenate(words)).to(device), num_words


def _parts(sentence: AlignedSentence) -> Tensor:
    is_part_WL = torch.zeros(sentence.num_words, len(sentence.tokens_L) + 2, dtype=torch.bool)
    is_part_WL[sentence.word_P, sentence.token_P + 1] = True
    return is_part_WL
