"""The page that shows what a forecast is made from and what it says."""

import numpy as np

from model.forecast import Forecast
from model.retrieval import MeanEstimate
from tasks.forecast.config import ForecastConfig
from tasks.forecast.findings import Findings, Rival, amount_text, score_text, sentences
from tasks.report.learning_curves import Curve, Panel, learning_curves, share_name
from tasks.report.page import Figure, Section, Table, format_interval, render_report
from tasks.report.plots import Estimate, Role, estimate_plot
from tasks.system_names import EMBEDDER, system_label

_CONTROLS = ("bag", "pretrained", "untrained")
_MEASURE = "recall@1"


def report_page(found: Findings, config: ForecastConfig) -> str:
    """The page as self-contained HTML; the same findings give the same bytes."""
    said = list(sentences(found))
    facts = {
        "test documents": f"{found.num_queries:,}",
        "shares tried": ", ".join(map(share_name, found.shares)),
        "resamples": f"{config.num_resamples:,}",
        "seed": str(config.seed),
    }
    sections = [_curves_section(found), _scores_section(found), _method_section(found)]
    return render_report(
        "How good will the embeddings be on all of the text?",
        [Section(title="What is likely", paragraphs=said[1:]), *sections],
        lead=said[0],
        facts=facts,
    )


def _curves_section(found: Findings) -> Section:
    upto = _upto(found)
    own = _curve(found, EMBEDDER, upto)
    panels = [
        Panel(
            title=_panel_title(rival),
            curves=[own, _curve(found, rival.system, upto)],
            crossing=_crossing_point(found, rival),
        )
        for rival in found.rivals
    ]
    crossings = sum(panel.crossing is not None for panel in panels)
    figure = Figure(
        svg=learning_curves("learning-curves", panels, y_label=_MEASURE),
        title=f"{_MEASURE} against share of the text",
        says=f"The embedder (blue) beside each other system; rings mark where lines cross "
        f"({crossings} of {len(panels)}).",
        note="Dots: measured, with 95 % bootstrap intervals as bands. Diamonds: foretold for the "
        "whole text, with 95 % intervals as bars. Dashed: the line they are foretold from. Grey: "
        "parts of our own model. The axis of shares doubles from tick to tick.",
        wide=True,
    )
    return Section(title="Curves", blocks=[figure])


def _scores_section(found: Findings) -> Section:
    whole = [
        Estimate(
            label=f"{system_label(system)}  {foretold.at_whole.value:.2f}",
            value=foretold.at_whole.value,
            low=foretold.at_whole.low,
            high=foretold.at_whole.high,
            role=_role(system),
        )
        for system, foretold in found.forecasts.items()
    ]
    figure = Figure(
        svg=estimate_plot("foretold", whole, x_label=_MEASURE, limits=(-0.02, 1.02)),
        title=f"{_MEASURE} foretold for the whole text",
        says=f"The embedder: {score_text(found.forecasts[EMBEDDER].at_whole)}.",
        note="Two intervals that overlap may still tell systems apart: who is likely to win is "
        "said of the paired difference, taken over the same test documents.",
        wide=True,
    )
    return Section(title="Scores", blocks=[figure, _table(found)])


def _table(found: Findings) -> Table:
    rivals = {rival.system: rival for rival in found.rivals}
    rows = [
        [
            system_label(system),
            *(_shown(estimate) for estimate in foretold.curve),
            _shown(foretold.at_whole),
            *_beside(rivals.get(system)),
        ]
        for system, foretold in found.forecasts.items()
    ]
    return Table(
        says=f"{_MEASURE} by share of the text with 95 % intervals, n = {found.num_queries:,} "
        "each; the embedder's lead on the whole text is paired.",
        columns=[
            "system",
            *(share_name(share) for share in found.shares),
            *("all, foretold", "lead", "the embedder is", "lines cross at"),
        ],
        rows=rows,
        emphasized=frozenset({list(found.forecasts).index(EMBEDDER)}),
    )


def _beside(rival: Rival | None) -> list[str]:
    if rival is None:
        return ["", "", ""]
    amount = amount_text(rival.crosses_at) if rival.is_crossing_near else ""
    return [_shown(rival.lead), rival.verdict, amount]


def _method_section(found: Findings) -> Section:
    shares = ", ".join(map(share_name, found.shares))
    return Section(
        title="How it is foretold",
        paragraphs=[
            f"The whole chain ran on {shares} of the training documents, drawn by content so that "
            "each part holds the smaller ones; validation and test documents, settings and numbers "
            "of steps were the same. Every system answered the same test documents each time.",
            "The log odds of a right answer are taken to move along a straight line over the "
            "logarithm of how much text was learned from. An interval holds the choice of test "
            "documents (bootstrap, the same resamples for all systems) and how far the line of the "
            "smaller shares missed the last one. There is one training run a share: what another "
            "seed would change is in it only as far as that miss shows it.",
        ],
    )


def _curve(found: Findings, system: str, upto: float) -> Curve:
    foretold = found.forecasts[system]
    return Curve(
        label=system_label(system),
        shares=found.shares,
        values=[estimate.value for estimate in foretold.curve],
        low=[estimate.low for estimate in foretold.curve],
        high=[estimate.high for estimate in foretold.curve],
        foretold=(foretold.at_whole.value, foretold.at_whole.low, foretold.at_whole.high),
        line=_line(foretold, found.shares[0], upto),
        role=_role(system),
    )


def _line(foretold: Forecast, start: float, upto: float) -> list[tuple[float, float]]:
    shares = np.geomspace(start, upto, 40)
    return [(float(share), foretold.at(float(share))) for share in shares]


def _upto(found: Findings) -> float:
    """The end of the lines: the whole text, or the last near crossing and a little more."""
    near = [rival.crosses_at or 1.0 for rival in found.rivals if rival.is_crossing_near]
    last = max([1.0, *near])
    return 1.0 if last == 1 else last * 2**0.5


def _crossing_point(found: Findings, rival: Rival) -> tuple[float, float] | None:
    at = rival.crosses_at
    if at is None or not rival.is_crossing_near:
        return None
    return at, found.forecasts[EMBEDDER].at(at)


def _panel_title(rival: Rival) -> str:
    label = system_label(rival.system)
    if not rival.is_crossing_near:
        return label
    return f"{label}: cross at {rival.crosses_at:.2g}\u00d7"


def _role(system: str) -> Role:
    if system == EMBEDDER:
        return "subject"
    return "control" if system in _CONTROLS else "reference"


def _shown(estimate: MeanEstimate) -> str:
    return format_interval(estimate.value, estimate.low, estimate.high, digits=2)
