"""The vocabulary report's figures, each with the sentence it says."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.report.page import Figure
from tasks.report.plots import Estimate, Role, Series, estimate_plot, line_plot
from tasks.vocab.report.curve import Curve
from tasks.vocab.report.findings import Findings
from tasks.vocab.report.peers import SAMPLE_SUFFIX, System
from tasks.vocab.report.wording import STYLES, gain, knows_nearly_all, label, percent, worth

MIN_POINTS = 3  # fewer are no curve


@dataclass(frozen=True)
class Figures:
    """All plots of the report, by name.

    Attributes:
        peers: every system's pieces a word, and words it keeps whole.
        sizes: bytes a token and words kept whole over vocabulary sizes; none where there are too
            few sizes.
    """

    peers: dict[str, Figure]
    sizes: dict[str, Figure]


def draw(findings: Findings) -> Figures:
    """Draw what was found."""
    merging = findings.merging
    return Figures(_draw_peers(findings), _draw_curve(merging.curve) if merging else {})


def _draw_peers(findings: Findings) -> dict[str, Figure]:
    whole = findings.subject.measures["words_kept_whole_frac"]
    unknown = [label(system) for system in findings.systems if not knows_nearly_all(system)]
    flattered = f" An unknown word is one piece, which flatters {' and '.join(unknown)}."
    return {
        "pieces_per_word": Figure(
            svg=_dots(findings.systems, "pieces_per_word", "pieces per word"),
            title="Pieces per word",
            says=worth(findings),
            note="Tokens that stand for a part of the word; white space of its own is not "
            "counted, since not all systems keep it." + (flattered if unknown else ""),
        ),
        "words_kept_whole": Figure(
            svg=_dots(findings.systems, "words_kept_whole_frac", "share of words"),
            title="Words kept whole",
            says=f"{percent(whole)} of the words between white space are one token of this "
            "vocabulary.",
            note="One token covers the word and nothing else; a space before it, ## or an "
            "end-of-word mark aside. Unknown words do not count as whole.",
        ),
    }


def _draw_curve(curve: Curve) -> dict[str, Figure]:
    if len(curve.by_size) < MIN_POINTS:
        return {}
    sizes = list(curve.by_size)
    validation = [measured["bytes_per_token"] for measured in curve.by_size.values()]
    train = [curve.train_bytes_per_token(size) for size in sizes]
    whole = [measured["words_kept_whole_frac"] for measured in curve.by_size.values()]
    return {
        "bytes_per_token_by_size": Figure(
            svg=_lines(
                "size-bytes",
                [
                    _series("validation", "subject", validation),
                    _series("training", "reference", train),
                ],
                sizes,
                "bytes per token",
            ),
            title="Bytes per token by vocabulary size",
            says=gain(curve),
        ),
        "words_kept_whole_by_size": Figure(
            svg=_lines("size-whole", [_series("validation", "subject", whole)], sizes, "share"),
            title="Words kept whole by vocabulary size",
            says=f"From {percent(whole[-2])} to {percent(whole[-1])} in the last step.",
        ),
    }


def _dots(systems: Sequence[System], measure: str, x_label: str) -> str:
    return estimate_plot(
        f"peers-{measure}",
        [
            Estimate(
                label=f"{label(system)}  {STYLES[measure].text(system.measures[measure])}",
                value=system.measures[measure],
                low=system.measures[measure],
                high=system.measures[measure],
                role=_role(system),
            )
            for system in systems
        ],
        x_label=x_label,
    )


def _role(system: System) -> Role:
    if system.is_subject:
        return "subject"
    return "control" if system.name.endswith(SAMPLE_SUFFIX) else "reference"


def _lines(name: str, series: list[Series], sizes: Sequence[int], y_label: str) -> str:
    """Equal steps, though each size is about twice the one before."""
    return line_plot(
        name,
        series,
        x=range(len(sizes)),
        x_names=[f"{size:,}" for size in sizes],
        x_label="tokens in the vocabulary",
        y_label=y_label,
    )


def _series(name: str, role: Role, values: list[float]) -> Series:
    return Series(label=name, values=values, low=values, high=values, role=role)
