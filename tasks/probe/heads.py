"""Rows of what attention heads look at.

Letters: S documents, H heads, M measures, G groups of documents.
"""

from collections.abc import Iterator

import torch

from model.heads import HEAD_MEASURES
from model.intervals import Interval, jackknife_interval, sum_by_group
from tasks.probe.observe import Observed
from tasks.probe.sample import SPLIT, Sample
from tasks.probe.table import Row, row_of_interval

_LARGEST = {"entropy": torch.inf, "distance": torch.inf}  # the others are shares


def head_rows(
    observed: Observed, sample: Sample, *, prefix: str = "", seed: int | None = None
) -> list[Row]:
    """Rows of every measure of every head: means over the sample's real tokens."""
    return [
        row_of_interval(
            interval.at(head),
            measure=prefix + name,
            layer=layer,
            head=head,
            split=SPLIT,
            seed=seed,
        )
        for name, layer, interval in _measures(observed, sample)
        for head in range(len(interval.value))
    ]


def _measures(observed: Observed, sample: Sample) -> Iterator[tuple[str, int, Interval]]:
    """Each measure of each layer with one interval for every head."""
    num_documents = len(sample.documents)
    group_S = torch.arange(num_documents, device=observed.types_N.device) % sample.num_groups
    count_S = torch.bincount(observed.document_N, minlength=num_documents)
    count_G1 = sum_by_group(count_S, group_S, sample.num_groups)[:, None]
    for layer, sums_SHM in enumerate(observed.head_sums_KSHM, start=1):
        sums_MGH = sum_by_group(sums_SHM, group_S, sample.num_groups).movedim(-1, 0)
        for name, sums_GH in zip(HEAD_MEASURES, sums_MGH, strict=True):
            interval = jackknife_interval(torch.div, [sums_GH, count_G1])
            yield name, layer, interval.within(0.0, _LARGEST.get(name, 1.0))
