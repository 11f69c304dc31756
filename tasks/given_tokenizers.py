"""Reads a tokenizer.json of anybody's, whose content could end the process that takes it."""

import contextlib
from pathlib import Path

from tokenizers import Tokenizer

from model.json_files import read_text

_MAX_ID = 2**24  # the library keeps a list of all ids that are missing below the largest
_TRIAL = "Is it 2 \u00e9t\u00e9s?\n\u540d"


def read_given_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`, as the library understands it.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: as `parse_tokenizer`, or the file is too large or no UTF-8.
    """
    return parse_tokenizer(read_text(path))


def parse_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that the text of a `tokenizer.json` describes.

    Raises:
        ValueError: it describes none, has an id that no vocabulary reaches, or makes the
            library panic on a line of ordinary text.
    """
    try:
        tokenizer = Tokenizer.from_str(text)
        largest = max(tokenizer.get_vocab().values(), default=0)
        if largest < _MAX_ID:
            with contextlib.suppress(Exception):  # such as a word that it does not know
                tokenizer.encode(_TRIAL, add_special_tokens=False)
    except Exception as error:  # the library raises plain Exception for whatever is wrong
        raise ValueError(str(error)) from None
    except BaseException as error:  # a panic in its Rust code is no Exception
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizers library fails on it: {error}") from None
    if largest >= _MAX_ID:
        raise ValueError(f"it has a token of id {largest}")
    return tokenizer
