"""On real text our merges and vocabulary are those of Hugging Face's trainer, in every setting.

The same configurations are checked on 30 and 100 MB of documentation by
`python -m tests.benchmarks.vocab_exactness`; here, on the sources of the standard library.
"""

import sysconfig
from functools import cache
from pathlib import Path

import pytest

from tests.benchmarks.vocab_exactness import CONFIGURATIONS, Configuration, compare

NUM_TEXT_BYTES = 2_000_000


@cache
def sources() -> tuple[str, ...]:
    """Whole modules of the standard library, from every part of it."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    step = max(1, sum(path.stat().st_size for path in paths) // NUM_TEXT_BYTES)
    return tuple(path.read_bytes().decode("utf-8", "replace") for path in paths[::step])


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.name)
def test_merges_vocabulary_and_segmentation_are_equal(configuration: Configuration) -> None:
    compared = compare(configuration, sources())
    assert not compared.differences
    # Pairs run out before 64k merges here, which is a case of its own.
    assert min(configuration.num_merges, 10_000) <= compared.num_merges
    assert compared.num_merges <= configuration.num_merges
