"""How a tokenizer cuts a sample of text: one pass over its offsets, and all measures from that.

A token's place is a span of characters. Tokens that begin or end inside a character share that
character; a boundary is a place where one token ends and the next begins, so there is none there.
A word is what stands between white space.

Legend: T tokens, S spans, D texts. Positions count characters of the sample's joined text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from model.bpe.tokenizer import END_OF_WORD
from tasks.stage import Metrics
from tasks.token_names import is_placeholder, unknown_name

RENYI_ALPHA = 2.5
BATCH_CHARACTERS = 2**17  # encodings take a hundred times the memory of their text
Int64s = NDArray[np.int64]
Flags = NDArray[np.bool_]
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, eq=False)
class Spans:
    """Stretches of text in order, none touching another: begins and ends, int64."""

    begins: Int64s
    ends: Int64s

    def __len__(self) -> int:
        return len(self.begins)

    @classmethod
    def of_matches(cls, matches: Iterable[Any]) -> "Spans":
        """The spans of regular expression matches."""
        pairs = [match.span() for match in matches]
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return cls(table[:, 0], table[:, 1])

    def holding(self, positions: Int64s) -> Int64s:
        """The index of the span that each position lies strictly inside of, or -1."""
        index = np.searchsorted(self.begins, positions, side="left") - 1
        return np.where((index >= 0) & (positions < self.ends[index]), index, -1)


class Sample:
    """Texts to measure on.

    Attributes:
        texts: as given.
        joined: the texts with a line break between two; its characters are what positions count.
        num_bytes: UTF-8 bytes of the texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.joined = "\n".join(texts)
        self.num_bytes = sum(len(text.encode()) for text in texts)

    @cached_property
    def begins(self) -> list[int]:
        """Where each text begins."""
        return list(accumulate((len(text) + 1 for text in self.texts[:-1]), initial=0))

    @cached_property
    def words(self) -> Spans:
        """What stands between white space."""
        return Spans.of_matches(_WORD.finditer(self.joined))


@dataclass(frozen=True, eq=False)
class Reading:
    """A sample as one tokenizer cuts it.

    Attributes:
        sample: the texts.
        ids_T: token ids, int32.
        begins_T, ends_T: the characters each token stands for, int64.
        num_tokens_D: tokens of each text, int64.
        usable: ids that can stand for text: all but special and padding ones, sorted, int64.
        unknown_id: of the token that stands for text it does not know, if it has one.
        vocab_size: all entries, padding included.
    """

    sample: Sample
    ids_T: NDArray[np.int32]
    begins_T: Int64s
    ends_T: Int64s
    num_tokens_D: Int64s
    usable: Int64s
    unknown_id: int | None
    vocab_size: int

    @property
    def is_unknown_T(self) -> Flags:
        """Which tokens stand for text that the vocabulary does not know."""
        return np.equal(self.ids_T, -1 if self.unknown_id is None else self.unknown_id)

    @cached_property
    def boundaries(self) -> Int64s:
        """Positions, in order, where one token ends and the next begins."""
        has_text = self.ends_T > self.begins_T
        begins, ends = self.begins_T[has_text], self.ends_T[has_text]
        return np.unique(begins[1:][begins[1:] == ends[:-1]])

    def cut(self, spans: Spans) -> "Cut":
        """How these spans are cut."""
        begins, ends = self.begins_T, self.ends_T
        first = np.searchsorted(spans.ends, begins, side="right")
        last = np.searchsorted(spans.begins, ends, side="left") - 1
        touching = np.flatnonzero((last >= first) & (ends > begins))
        first, last = first[touching], last[touching]
        num_pieces = _num_covering(first, last, len(spans))
        unknown = self.is_unknown_T[touching]
        num_unknown = _num_covering(first[unknown], last[unknown], len(spans))
        is_whole = np.zeros(len(spans), dtype=np.bool_)
        single = first == last
        covers = begins[touching] <= spans.begins[first]
        covers &= ends[touching] >= spans.ends[first]
        is_whole[first[single & covers & ~unknown]] = True
        first_token = np.full(len(spans), -1, dtype=np.int64)
        first_token[first[::-1]] = touching[::-1]  # the earliest of several is written last
        return Cut(num_pieces, is_whole & (num_pieces == 1), num_unknown > 0, first_token)


@dataclass(frozen=True, eq=False)
class Cut:
    """How a tokenizer cuts spans.

    Attributes:
        num_pieces: tokens that stand for a part of each, int64; 0 where it was dropped.
        is_whole: one token covers it, and no other text but white space.
        is_unknown: a part of it is an unknown token.
        first_token: the index of its first token in the reading, or -1.
    """

    num_pieces: Int64s
    is_whole: Flags
    is_unknown: Flags
    first_token: Int64s


def read(tokenizer: Tokenizer, sample: Sample) -> Reading:
    """Encode a sample, without special tokens, whole texts.

    An end-of-word mark that is a token by itself stands for no text here, as a space does that
    is one.
    """
    tokenizer.no_truncation()
    tokenizer.no_padding()
    parts = [
        _read_batch(tokenizer, texts, begins)
        for texts, begins in _batches(sample.texts, sample.begins)
    ]
    ids, spans, sizes = zip(*parts, strict=True)
    table = np.concatenate(spans)
    every_id = np.concatenate(ids)
    is_mark = np.equal(every_id, tokenizer.token_to_id(END_OF_WORD) or -1)
    table[is_mark, 0] = table[is_mark, 1]  # its offsets are those of the character before it
    unknown = unknown_name(json.loads(tokenizer.to_str())["model"])
    return Reading(
        sample=sample,
        ids_T=every_id,
        begins_T=table[:, 0],
        ends_T=table[:, 1],
        num_tokens_D=np.concatenate(sizes),
        usable=_usable_ids(tokenizer, unknown),
        unknown_id=None if unknown is None else tokenizer.token_to_id(unknown),
        vocab_size=tokenizer.get_vocab_size(),
    )


def measure(reading: Reading) -> Metrics:
    """What the vocabulary is worth on the sample; `wording.STYLES` says each in words."""
    cut = reading.cut(reading.sample.words)
    num_tokens = len(reading.ids_T)
    return {
        "vocab_size": float(reading.vocab_size),
        "num_usable_tokens": float(len(reading.usable)),
        "bytes_per_token": reading.sample.num_bytes / num_tokens,
        "fertility": num_tokens / len(reading.sample.words),
        "pieces_per_word": float(cut.num_pieces.mean()),
        "words_kept_whole_frac": float(cut.is_whole.mean()),
        "unknown_word_frac": float((cut.is_unknown | (cut.num_pieces == 0)).mean()),
        "renyi_efficiency": renyi_efficiency(reading),
        "unused_token_frac": 1 - len(_used(reading)) / len(reading.usable),
    }


def lossless_frac(tokenizer: Tokenizer, reading: Reading) -> float:
    """The share of texts that decoding gives back as they were; 0 to 1."""
    num_same, begin = 0, 0
    for text, num_tokens in zip(reading.sample.texts, reading.num_tokens_D.tolist(), strict=True):
        ids = reading.ids_T[begin : begin + num_tokens].tolist()
        num_same += tokenizer.decode(ids, skip_special_tokens=False) == text
        begin += num_tokens
    return num_same / len(reading.sample.texts)


def renyi_efficiency(reading: Reading) -> float:
    """Rényi entropy of the tokens over the logarithm of the vocabulary's size, alpha = 2.5.

    After Zouhar et al. 2023 (2306.16842, "Tokenization and the Noiseless Channel"). 1 means that
    all tokens are equally frequent. Vocabularies can be made that score higher and serve worse
    (Cognetta et al. 2024), so it is reported and nothing is chosen by it.
    """
    if len(reading.usable) < 2:
        return 0.0
    _, counts = np.unique(reading.ids_T, return_counts=True)
    shares = counts / counts.sum()
    entropy = float(np.log(np.sum(shares**RENYI_ALPHA))) / (1 - RENYI_ALPHA)
    return abs(entropy) / float(np.log(len(reading.usable)))  # one token alone: not -0


def _used(reading: Reading) -> Int64s:
    return np.intersect1d(reading.usable, reading.ids_T)


def _batches(texts: Sequence[str], begins: Sequence[int]) -> Iterator[tuple[list[str], list[int]]]:
    """Texts with their begins, a bounded number of characters at a time."""
    batch: tuple[list[str], list[int]] = ([], [])
    num_characters = 0
    for text, begin in zip(texts, begins, strict=True):
        if batch[0] and num_characters + len(text) > BATCH_CHARACTERS:
            yield batch
            batch, num_characters = ([], []), 0
        batch[0].append(text)
        batch[1].append(begin)
        num_characters += len(text)
    yield batch


def _read_batch(
    tokenizer: Tokenizer, texts: list[str], begins: list[int]
) -> tuple[NDArray[np.int32], Int64s, Int64s]:
    """Ids, spans of shape (T, 2), and tokens of each text."""
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    ids = [encoding.ids for encoding in encodings]
    spans = [
        np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2) + begin
        for encoding, begin in zip(encodings, begins, strict=True)
    ]
    return (
        np.array([token_id for one in ids for token_id in one], dtype=np.int32),
        np.concatenate(spans),
        np.array([len(one) for one in ids], dtype=np.int64),
    )


def _num_covering(first: Int64s, last: Int64s, length: int) -> Int64s:
    """How many of the ranges [first, last] each index lies in."""
    steps = np.bincount(first, minlength=length + 1) - np.bincount(last + 1, minlength=length + 1)
    return np.cumsum(steps[:length])


def _usable_ids(tokenizer: Tokenizer, unknown: str | None) -> Int64s:
    vocab = tokenizer.get_vocab()
    ids = [i for name, i in vocab.items() if name == unknown or not is_placeholder(name)]
    return np.array(sorted(ids), dtype=np.int64)
