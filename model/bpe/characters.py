"""The class of every character, as the patterns that cut text see it.

`tokenizers` has its own edition of Unicode in its expressions, older than Python's or `regex`'s,
and a scanner must cut by the same one as the tokenizer it learns for. `character_classes.txt`
holds that edition's letters, numbers and spaces; a test compares it with the installed library.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

NUM_CODE_POINTS = 0x110000
CLASSES = ("other", "letter", "number", "space")
OTHER, LETTER, NUMBER, SPACE = range(len(CLASSES))


@cache
def character_classes() -> npt.NDArray[np.uint8]:
    """The class of each code point, `NUM_CODE_POINTS` of uint8, not to be written to."""
    classes = np.full(NUM_CODE_POINTS, OTHER, dtype=np.uint8)
    ranges = files("model.bpe").joinpath("character_classes.txt").read_text("utf-8")
    for line in ranges.splitlines():
        first, last, name = line.split()
        classes[int(first, 16) : int(last, 16) + 1] = CLASSES.index(name)
    classes.flags.writeable = False
    return classes
