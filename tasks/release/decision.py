"""Decides from a trial whether a challenger replaces the released embedder.

The numbers are measured once; the decision is taken anew every time.
"""

from tasks.release.trial.findings import BOTH, NEW, Measured, Trial


def reasons_against(trial: Trial, margin: float) -> list[str]:
    """Why the challenger is not published, one line each with its numbers; empty if it is.

    It is published if it is better beyond noise on the documents that both hold out: the 95 %
    interval of the paired difference of recall@1 lies above zero. Or if it is not worse there (the
    interval lies above minus the margin) and better beyond noise on new documents, those held out
    that the released embedder's corpus has not.

    Args:
        trial: what was measured.
        margin: of recall@1, above zero.
    """
    both, new = trial.of(BOTH), trial.of(NEW)
    if both is None:
        return [_nothing_in_common(trial)]
    if both.difference.low > 0:
        return []
    if both.difference.low <= -margin:
        return [
            f"{_told(both, 'documents that both hold out')}: {_fate(both)}, and it may be worse "
            f"by more than the margin of {margin:g}"
        ]
    if new is None:
        return [
            f"{_told(both, 'documents that both hold out')}: not better beyond noise",
            f"of its test documents {trial.num_new:,} are new, too few to ask whether it is "
            "better there",
        ]
    if new.difference.low > 0:
        return []
    return [
        f"{_told(both, 'documents that both hold out')}: not better beyond noise",
        f"{_told(new, 'new documents')}: not better beyond noise there either",
    ]


def _fate(measured: Measured) -> str:
    return "worse beyond noise" if measured.difference.high < 0 else "not better beyond noise"


def _told(measured: Measured, documents: str) -> str:
    difference = measured.difference
    own, released = measured.challenger.value, measured.released.value
    return (
        f"recall@1 on {difference.n:,} {documents} is {own:.3f}, the released embedder's "
        f"{released:.3f}, a difference of {difference.value:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    )


def _nothing_in_common(trial: Trial) -> str:
    return (
        f"{trial.num_both:,} of its test documents are test documents of the released embedder's "
        f"corpus too, {trial.num_learned:,} were learned from by that and {trial.num_new:,} are "
        "new: it takes 2 common ones that are long enough to compare them; give both corpora the "
        "same documents as test (ingest.split_column), lower evaluate.min_words, or set "
        "release.publish = always"
    )
