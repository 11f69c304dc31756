"""Says how likely characters, and their order, are in text of a language."""

import math
import re
import unicodedata
from functools import cache

from tasks.ingest.encodings.letters import LATIN, OTHER_SCRIPTS

# Shares among all characters outside ASCII, measured roughly on prose.
_MARKS = {
    **{"’": 0.06, "‘": 0.02, "“": 0.03, "”": 0.03, "„": 0.004, "‚": 5e-4, "«": 0.006, "»": 0.006},
    **{"–": 0.02, "—": 0.02, "…": 0.01, "\xa0": 0.03, "•": 0.002, "·": 6e-4, "€": 0.003},
    **{"£": 0.003, "§": 6e-4, "°": 6e-4, "©": 6e-4, "®": 4e-4, "™": 4e-4, "×": 2e-4, "½": 2e-4},
    **{"²": 2e-4, "±": 2e-4, "\xad": 2e-4, "№": 2e-4},
}
_WIDE_MARKS = {
    **{"、": 0.02, "。": 0.02, "，": 0.02, "ー": 0.01, "\u3000": 0.005, "・": 0.003},
    **{"「": 0.003, "」": 0.003, "（": 0.002, "）": 0.002, "：": 0.002, "？": 0.001, "！": 0.001},
    **{"『": 0.001, "』": 0.001, "．": 0.001, "；": 5e-4, "《": 5e-4, "》": 5e-4},
}
_LANGUAGE_MARKS = {
    "el": {"’": 0.004},
    "es": {"¿": 0.005, "¡": 0.004, "º": 5e-4, "ª": 5e-4},
    "ca": {"·": 0.005},
    "pt": {"º": 0.001, "ª": 0.001},
    "it": {"º": 5e-4},
    "ar": {"،": 0.02, "؟": 0.005, "؛": 0.002, "ـ": 0.001},
    "fa": {"،": 0.02, "؟": 0.005, "؛": 0.002, "\u200c": 0.05},
}
_LETTERS_SHARE = 0.8
_CAPITALS_SHARE = 0.05
_RARE_LETTER, _RARE_CAPITAL = 3e-4, 5e-5  # of the language's script, but not of its alphabet
_RARE_MARK = 5e-5
_FOREIGN_LETTER = 1e-5
_CONTROL = 1e-8

# Averages for languages without a table of their own.
REGIONS = {
    "west": "fr de es it pt ca nl sv da nb is ga sq".split(),
    "central": "pl cs sk hu sl hr ro".split(),
}

# What a script of thousands of characters leaves to those that are not in `OTHER_SCRIPTS`.
_WIDE_RARE = 2e-6
_WIDE_USUAL = 1.2e-4
_WIDE_FORM = 3e-5
_USUAL_ROWS = {  # an encoding, and between which first bytes it has the usual characters
    "zh_Hans": ("gb2312", 0xB0, 0xD7),
    "zh_Hant": ("cp950", 0xA4, 0xC6),
    "ja": ("euc_jp", 0xA4, 0xCF),
    "ko": ("euc_kr", 0xB0, 0xC8),
}

# Kinds of characters: a, A letters of ASCII; l, L other Latin letters; x, X letters of other
# scripts; q quotes; c what closes words; d dashes; m money; i what may stand inside words; s other
# signs beyond ASCII; 0 digits; the blank; the point for the rest.
_KINDS_OF_MARKS = {
    **dict.fromkeys("“”„‘‚«»", b"q"),
    **dict.fromkeys("’…", b"c"),
    **dict.fromkeys("–—", b"d"),
    **dict.fromkeys("€£", b"m"),
    **dict.fromkeys("·•\xad\u200c\u200d\u200e\u200f\ufffdªº", b"i"),
    "\xa0": b" ",
}
_SHAPES = [
    (re.compile(rb"(?<=[aAlLxX])[sqm](?=[aAlLxX])"), -4.0),  # a sign within a word
    (re.compile(rb"(?<![aAlLxX])q[aAlLxX][^q]{0,300}q(?![aAlLxX])"), 4.0),  # a quotation
    (re.compile(rb"(?<![aAlLxX])q(?=[aAlLxX])(?![^q]{0,300}q)"), -3.0),  # ... never closed
    (re.compile(rb"(?<=[aAlLxX0.])c"), 2.0),  # an apostrophe or an ellipsis after a word
    (re.compile(rb"(?<![aAlLxX0.])c(?=[aAlLxX])"), -3.0),  # ... before one
    (re.compile(rb"(?<= )d(?= )|(?<=[0.])d(?=[0.])"), 2.0),  # a dash between blanks or numbers
    # A sum of money.
    (re.compile(rb"(?<![aAlLxX])m(?=0)|(?<=0)m(?![aAlLxX])|(?<=0 )m(?![aAlLxX])"), 5.0),
    (re.compile(rb"[al](?=L)|l(?=A)|x(?=X)"), -4.0),  # a capital within a word
    (re.compile(rb"[aAlL](?=[xX])|[xX](?=[aAlL])"), -8.0),  # two scripts within a word
    (re.compile(rb"(?<=[aAlL] )[xX](?= [aAlL])"), -6.0),  # a single letter as a foreign word
    (re.compile(rb"(?<![aAlLxX])[xX](?![aAlLxX])"), -2.5),  # a single letter as a word
    (re.compile(rb"[lL](?=[lL])"), -1.0),  # Latin letters are mostly those of ASCII
]
_MOST_PER_MARK = {b"q": 2.0, b"c": 2.0, b"d": 2.0, b"m": 5.0}


@cache
def ascii_logs(language: str) -> list[float]:
    """Logarithms of how often each character of ASCII occurs among its letters; 0 of no letter."""
    shares = _shares(LATIN[language][0], language)
    return [
        math.log(shares.get(chr(byte), 1e-6)) if chr(byte).isalpha() else 0.0 for byte in range(128)
    ]


@cache
def character_log(character: str, language: str) -> float:
    """Logarithm of how often a character occurs among all outside ASCII."""
    share = _known_shares(language).get(character)
    if share is None:
        share = _rare_share(character, language)
    return math.log(share)


@cache
def kinds_of_bytes(encoding: str) -> bytes:
    """The kind of each byte's character, for `shape_log`."""
    characters = (bytes([byte]).decode(encoding, "replace") for byte in range(256))
    return b"".join(map(_kind, characters))


def most_shape_log(kinds: bytes) -> float:
    """What `shape_log` does not pass; quick."""
    return sum(most * kinds.count(kind) for kind, most in _MOST_PER_MARK.items())


def shape_log(kinds: bytes) -> float:
    """How well letters, capitals and signs stand beside each other."""
    return sum(weight * len(pattern.findall(kinds)) for pattern, weight in _SHAPES)


@cache
def _known_shares(language: str) -> dict[str, float]:
    if language in REGIONS:
        return _mean_shares(REGIONS[language])
    letters = LATIN[language][1] if language in LATIN else OTHER_SCRIPTS[language]
    shares = {
        character: share * _LETTERS_SHARE for character, share in _shares(letters, language).items()
    }
    wide = _WIDE_MARKS if language in _USUAL_ROWS else {}
    return shares | _MARKS | wide | _LANGUAGE_MARKS.get(language, {})


def _mean_shares(languages: list[str]) -> dict[str, float]:
    every = [_known_shares(language) for language in languages]
    characters = set().union(*every)
    return {
        character: sum(shares.get(character, 0) for shares in every) / len(every)
        for character in characters
    }


def _shares(letters: str, language: str) -> dict[str, float]:
    """From groups of letters, each half as frequent as the one before; see `letters`."""
    shares: dict[str, float] = {}
    for number, group in enumerate(letters.split(" ")):
        for letter in group.replace("-", ""):
            shares[letter] = 2.0**-number
    # Only an alphabet sums up to all that there is.
    total = sum(shares.values()) if language not in _USUAL_ROWS else 1.0
    capitals = {
        letter.upper(): share * _CAPITALS_SHARE
        for letter, share in shares.items()
        if len(letter.upper()) == 1
    }
    return {letter: share / total for letter, share in (capitals | shares).items()}


def _rare_share(character: str, language: str) -> float:
    category = unicodedata.category(character)
    name = unicodedata.name(character, "")
    if category in ("Cc", "Cn", "Co") or character == "\ufffd":
        return _CONTROL
    if language in _USUAL_ROWS:
        return _wide_share(character, name, language)
    if category[0] not in "LM":
        return _RARE_MARK
    if (language in LATIN or language in REGIONS) and name.startswith("LATIN"):
        return _RARE_LETTER if character.islower() else _RARE_CAPITAL
    return _FOREIGN_LETTER


def _wide_share(character: str, name: str, language: str) -> float:
    if name.startswith(("HALFWIDTH", "FULLWIDTH")):
        return _WIDE_FORM
    encoding, first, last = _USUAL_ROWS[language]
    data = character.encode(encoding, "ignore")
    is_usual = len(data) == 2 and first <= data[0] <= last
    return _WIDE_USUAL if is_usual else _WIDE_RARE


def _kind(character: str) -> bytes:
    if character in _KINDS_OF_MARKS:
        return _KINDS_OF_MARKS[character]
    if character in "0123456789":
        return b"0"
    if not character.isalpha() and unicodedata.category(character)[0] != "M":
        return b" " if character.isspace() else b"." if character.isascii() else b"s"
    name = unicodedata.name(character, "")
    is_plain = character.isascii() or name.startswith("COMBINING")
    kind = b"a" if is_plain else b"l" if name.startswith("LATIN") else b"x"
    return kind.upper() if character.isupper() else kind
