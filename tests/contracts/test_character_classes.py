"""The scanner's classes of characters are those of the installed `tokenizers`, one by one.

python -m tests.contracts.test_character_classes > model/bpe/character_classes.txt
"""

import sys

import numpy as np
import numpy.typing as npt
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from model.bpe.characters import CLASSES, NUM_CODE_POINTS, character_classes

EXPRESSIONS = {"letter": r"\p{L}", "number": r"\p{N}", "space": r"\s"}
SURROGATES = range(0xD800, 0xE000)  # no UTF-8 text holds them


def classes_of_the_library() -> npt.NDArray[np.uint8]:
    """The class of every code point, as the library's expressions match it."""
    code_points = [point for point in range(NUM_CODE_POINTS) if point not in SURROGATES]
    text = "".join(map(chr, code_points))
    classes = np.zeros(NUM_CODE_POINTS, dtype=np.uint8)
    for name, expression in EXPRESSIONS.items():
        pieces = Split(Regex(expression), "removed", invert=True).pre_tokenize_str(text)
        for _, (begin, end) in pieces:
            classes[code_points[begin:end]] = CLASSES.index(name)
    return classes


def test_every_code_point_has_the_librarys_class() -> None:
    np.testing.assert_array_equal(character_classes(), classes_of_the_library())


def print_ranges() -> None:
    """Write the ranges of equal class, one a line: first, last, class."""
    classes = classes_of_the_library()
    first = np.flatnonzero(np.diff(classes, prepend=0))
    last = np.append(first[1:], NUM_CODE_POINTS) - 1
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        if classes[begin]:
            sys.stdout.write(f"{begin:04X} {end:04X} {CLASSES[classes[begin]]}\n")


if __name__ == "__main__":
    print_ranges()
