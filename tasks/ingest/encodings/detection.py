"""Finds the legacy encoding in which bytes read best as text of some language.

For each encoding, and each language it was made for, the likelihood of the bytes is the product
of how often their letters occur. Beside these stands the supposition that the bytes are no text at
all. Bayes' rule turns likelihoods into the confidence of the best reading; encodings that give the
same text count together.
"""

import codecs
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.ingest.encodings.letters import LATIN
from tasks.ingest.encodings.likelihood import (
    REGIONS,
    ascii_logs,
    character_log,
    kinds_of_bytes,
    most_shape_log,
    shape_log,
)

Counts = NDArray[np.int64]
Logs = NDArray[np.float64]

# "west" and "central" stand for the languages of their region that have no table of their own.
_WESTERN = "west en fr de es it pt ca nl sv da nb is fi ga sq et".split()
_CENTRAL = "central pl cs sk hu sl hr ro".split()
_BALTIC = "lt lv et".split()
_CYRILLIC = "ru uk bg sr be mk kk tg".split()

# The languages of each encoding, and the logarithm of how usual it is beside the first ones.
_SINGLE_BYTE: dict[str, tuple[list[str], float]] = {
    "cp1252": (_WESTERN, 0),
    "cp1250": (_CENTRAL, 0),
    "cp1251": (_CYRILLIC, 0),
    "cp1253": (["el"], 0),
    "cp1254": (["tr", "az"], 0),
    "cp1255": (["he"], 0),
    "cp1256": (["ar", "fa"], 0),
    "cp1257": (_BALTIC, 0),
    "cp1258": (["vi"], 0),
    "cp874": (["th"], 0),
    "iso8859_2": (_CENTRAL, -1),
    "iso8859_5": (_CYRILLIC, -2),
    "iso8859_6": (["ar"], -1),
    "iso8859_7": (["el"], -1),
    "iso8859_15": (_WESTERN, -1),
    "koi8_r": (["ru", "bg"], -1),
    "koi8_u": (["uk", "ru", "be"], -1.5),
    "cp866": (["ru", "bg", "be", "uk"], -2),
    "mac_cyrillic": (_CYRILLIC, -4),
    "mac_roman": (_WESTERN, -5),
    "mac_latin2": (_CENTRAL, -5),
    "cp437": (_WESTERN, -5),
    "cp850": (_WESTERN, -5),
    "cp852": (_CENTRAL, -5),
    "cp737": (["el"], -5),
    "cp775": (_BALTIC, -5),
    "cp855": (_CYRILLIC, -5),
    "cp857": (["tr"], -5),
    "cp862": (["he"], -5),
    "cp1125": (["uk", "ru"], -5),
    "iso8859_13": (_BALTIC, -5),
    "cp720": (["ar"], -6),
    "cp860": (["pt"], -6),
    "cp861": (["is"], -6),
    "cp863": (["fr"], -6),
    "cp865": (["da", "nb"], -6),
    "cp869": (["el"], -6),
    "iso8859_3": (["tr", "eo"], -6),
    "iso8859_4": (_BALTIC, -6),
    "iso8859_10": (["is", "et", "lt", "lv"], -6),
    "iso8859_14": (["cy", "ga"], -6),
    "iso8859_16": (["ro", "pl", "hu", "hr"], -6),
    "koi8_t": (["tg"], -6),
    "kz1048": (["kk"], -6),
    "ptcp154": (["kk"], -6),
    "mac_croatian": (["hr", "sl"], -6),
    "mac_greek": (["el"], -6),
    "mac_iceland": (["is"], -6),
    "mac_romanian": (["ro"], -6),
    "mac_turkish": (["tr"], -6),
}
_MULTI_BYTE: dict[str, tuple[str, float]] = {
    "gb18030": ("zh_Hans", -3),
    "cp950": ("zh_Hant", -3),
    "big5hkscs": ("zh_Hant", -4),
    "cp932": ("ja", -3),
    "euc_jp": ("ja", -3),
    "euc_jis_2004": ("ja", -5),
    "cp949": ("ko", -3),
}
_NO_TEXT = -math.log(128)  # any byte is as likely as another
_NO_TEXT_PRIOR = 1.0
_CONTROL = 8.0  # how much likelier a control character is where there is no text
# A page may quote much of another language, so its ASCII letters say less than they seem to.
_FULL_DOUBT, _FURTHER_DOUBT = 12.0, 0.25
_HOPELESS = 30.0  # so much less likely that it does not count

# Other readings leave it open why an ASCII letter stands where it does; that of a byte which is
# half a character explains it.
_ASCII_HALF = 3.0
# One junk byte, however often it stands, is a good letter in some rare encoding.
_RARE, _FEWEST_KINDS = -4, 3
_FEWEST_BYTES = 8
_WHOLE_BYTES = 2**14
_NUM_WINDOWS, _WINDOW_BYTES, _CONTEXT_BYTES = 8, 2**11, 60
_ASCII = bytes(range(128))
_HIGH = re.compile(rb"[\x80-\xff]")
_BETWEEN = re.compile(rb"[\0-/]")  # never a part of a longer character
_REPEATED = re.compile(rb"(([\x80-\xff])\2)\1{2,}")  # lines and borders are no evidence
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
_NOT_ASCII = re.compile(r"[^\0-\x7f]")


class Detected(NamedTuple):
    """Encodings that read the bytes alike, most usual first, and how sure that reading is."""

    encodings: list[str]
    confidence: float


class _Reading(NamedTuple):
    score: float
    encoding: str
    text: str


def detect_encoding(data: bytes, is_all: bool = True) -> Detected:
    """The best reading of text that is not UTF-8; no encodings where it looks like no text.

    Looks at some 30 kB of the text, however long it is; whether all of it decodes is to be seen.

    Args:
        is_all: whether the text is complete; else its last character may be cut.
    """
    sample = take_sample(data)
    is_all = is_all and len(sample) == len(data)
    sample = _REPEATED.sub(rb"\1\1", sample)
    # A line that comes again is no further evidence: five letters would grow sure by repetition.
    sample = b"\n".join(dict.fromkeys(sample.split(b"\n")))
    if len(sample.strip()) < _FEWEST_BYTES:
        return Detected([], 0.0)
    readings = sorted(_readings(sample, is_all), reverse=True)
    no_text = _no_text_log(sample)
    if not readings or readings[0].score < no_text:
        return Detected([], 0.0)
    best = readings[0].score
    weights: defaultdict[str, float] = defaultdict(float)
    for reading in readings:
        weights[reading.text] += math.exp(reading.score - best)
    total = sum(weights.values()) + math.exp(no_text - best)
    text = max(weights, key=lambda text: weights[text])
    alike = {reading.encoding for reading in readings if reading.text == text}
    usual_first = [name for name in (*_SINGLE_BYTE, *_MULTI_BYTE) if name in alike]
    return Detected(usual_first, weights[text] / total)


def take_sample(data: bytes) -> bytes:
    """Parts of a text, cut between characters, that hold (nearly) every byte that occurs in it.

    At most about 32 kB. Short texts are their own sample.
    """
    if len(data) <= _WHOLE_BYTES:
        return data
    parts = [_cut(data, place, _WINDOW_BYTES) for place in _places(data)]
    head = parts.pop(0)
    for byte in sorted(set(range(128, 256)).difference(*parts)):
        if (place := data.find(byte)) >= 0:
            parts.append(_cut(data, place, _CONTEXT_BYTES))
    # Last, since in text without a blank the beginning alone can be had, with a cut character.
    return b"\n".join([*parts, head or data[:_WINDOW_BYTES]])


def _places(data: bytes) -> list[int]:
    """Where bytes above ASCII stand: the first one, and others all over the text."""
    found = _HIGH.search(data)
    places = [found.start() if found else 0]
    for start in range(0, len(data), len(data) // _NUM_WINDOWS):
        if start > places[-1]:
            found = _HIGH.search(data, start)
            places.append(found.start() if found else len(data))
    return places


def _cut(data: bytes, place: int, num_bytes: int) -> bytes:
    around = data[max(place - _CONTEXT_BYTES, 0) : place + num_bytes]
    ends = [found.end() for found in _BETWEEN.finditer(around)]
    return around[ends[0] : ends[-1]] if ends else b""


def _no_text_log(sample: bytes) -> float:
    num_high = len(sample.translate(None, _ASCII))
    return num_high * _NO_TEXT + len(_CONTROLS.findall(sample)) * _CONTROL + _NO_TEXT_PRIOR


def _readings(sample: bytes, is_all: bool) -> Iterator[_Reading]:
    multi_byte = list(_multi_byte_readings(sample, is_all))
    yield from multi_byte
    best = max((reading.score for reading in multi_byte), default=-math.inf)
    yield from _single_byte_readings(sample, best)


def _ascii_doubts(counts: Counts) -> dict[str, float]:
    """How much less likely the ASCII letters are in each language than in the likeliest."""
    scores = _ascii_table() @ counts
    gaps = scores.max() - scores
    capped = np.minimum(gaps, _FULL_DOUBT + (gaps - _FULL_DOUBT) * _FURTHER_DOUBT)
    doubts = dict(zip(LATIN, capped.tolist(), strict=True))
    regions = {
        region: 1.0 + min(doubts[language] for language in languages)
        for region, languages in REGIONS.items()
    }
    return doubts | regions


def _single_byte_readings(sample: bytes, best: float) -> Iterator[_Reading]:
    """Readings that may be better than `best`, or come near it.

    How letters stand beside each other takes longest, so the hopeless are not asked for it.
    """
    counts = np.bincount(np.frombuffer(sample, np.uint8), minlength=256)
    doubts, high = _ascii_doubts(counts[:128]), counts[128:]
    present = bytes(byte + 128 for byte in np.flatnonzero(high).tolist())
    for bound, encoding in sorted(_decodable(sample, present, high), reverse=True):
        if bound < best - _HOPELESS:
            return
        languages, prior = _SINGLE_BYTE[encoding]
        if prior <= _RARE and len(present) < _FEWEST_KINDS:
            continue
        text = present.decode(encoding)
        shape = shape_log(sample.translate(kinds_of_bytes(encoding)))
        logs = (_high_table(encoding) @ high).tolist()
        for language, log in zip(languages, logs, strict=True):
            score = prior + shape + log - doubts.get(language, 0.0)
            best = max(best, score)
            yield _Reading(score, encoding, text)


def _decodable(sample: bytes, present: bytes, counts: Counts) -> Iterator[tuple[float, str]]:
    """Encodings that can read the bytes, with a bound on how likely that can be."""
    for encoding in _SINGLE_BYTE:
        try:
            present.decode(encoding)
        except UnicodeDecodeError:
            continue
        bonus = most_shape_log(sample.translate(kinds_of_bytes(encoding)))
        yield bonus + float((_high_table(encoding) @ counts).max()), encoding


def _multi_byte_readings(sample: bytes, is_all: bool) -> Iterator[_Reading]:
    num_high = len(sample.translate(None, _ASCII))
    for encoding, (language, prior) in _MULTI_BYTE.items():
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample, is_all)
        except UnicodeDecodeError:
            continue
        characters = _NOT_ASCII.findall(text)
        counts = Counter(characters)
        logs = (number * character_log(mark, language) for mark, number in counts.items())
        num_halves = len(sample) - num_high - (len(text) - len(characters))
        yield _Reading(prior + sum(logs) + num_halves * _ASCII_HALF, encoding, text)


@cache
def _ascii_table() -> Logs:
    return np.array([ascii_logs(language) for language in LATIN])


@cache
def _high_table(encoding: str) -> Logs:
    """One row a language, one column for each byte from 128."""
    languages, _ = _SINGLE_BYTE[encoding]
    characters = bytes(range(128, 256)).decode(encoding, "replace")
    # The commonest junk byte is no evidence for encodings that have a blank there.
    characters = re.sub("\xa0$", "¤", characters)
    return np.array([[character_log(mark, name) for mark in characters] for name in languages])
