"""What a forecast says: rows of numbers, where curves cross, and plain sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model.forecast import Forecast, crossing, forecast, lead
from model.retrieval import MeanEstimate
from tasks.forecast.config import SHARES, ForecastConfig
from tasks.forecast.outcomes import MEASURE, Outcomes
from tasks.report.page import format_number
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, system_label
from tasks.verdict import Verdict, verdict

# A crossing is told where it lies between the least share tried and so many times the text.
LEAST, MOST = min(SHARES.values()), 8.0


@dataclass(frozen=True)
class Rival:
    """Another system beside the embedder.

    Attributes:
        lead: of the embedder over it on the whole text, paired.
        crosses_at: the share of the text at which the two curves cross; None where they do not.
        overtaken: whether the embedder is ahead beyond the crossing, and behind before.
    """

    system: str
    lead: MeanEstimate
    crosses_at: float | None
    overtaken: bool

    @property
    def verdict(self) -> Verdict:
        """What can be said of the embedder beside it on the whole text."""
        return verdict(self.lead)

    @property
    def is_crossing_near(self) -> bool:
        """Whether the crossing is not too far off to be told."""
        return self.crosses_at is not None and LEAST <= self.crosses_at <= MOST


@dataclass(frozen=True)
class Findings:
    """All that is foretold.

    Attributes:
        shares: of the training text that were tried, ascending.
        num_queries: test documents behind each score.
        forecasts: by system, embedder first.
        rivals: the other systems.
    """

    shares: tuple[float, ...]
    num_queries: int
    forecasts: dict[str, Forecast]
    rivals: tuple[Rival, ...]


def findings(outcomes: Outcomes, shares: Sequence[float], config: ForecastConfig) -> Findings:
    """Foretell every system's score on the whole text, and compare each with the embedder's."""
    forecasts = forecast(
        shares, outcomes.values_of, num_resamples=config.num_resamples, seed=config.seed
    )
    own = forecasts[EMBEDDER]
    rivals = [
        Rival(system, lead(own, other), crossing(own, other), own.slope > other.slope)
        for system, other in forecasts.items()
        if system != EMBEDDER
    ]
    return Findings(tuple(shares), outcomes.num_queries, forecasts, tuple(rivals))


def rows(found: Findings) -> list[dict[str, Any]]:
    """Tidy rows: system, share, value, low, high, n, is_foretold."""
    return [
        {"system": system, "share": share, **vars(estimate), "is_foretold": is_foretold}
        for system, foretold in found.forecasts.items()
        for share, estimate, is_foretold in [
            *((*tried, False) for tried in zip(found.shares, foretold.curve, strict=True)),
            (1.0, foretold.at_whole, True),
        ]
    ]


def answer(found: Findings) -> dict[str, Any]:
    """The forecast as JSON values, for the command line.

    ``forecast`` has a row a system; of all but the embedder also its `lead` (paired, with
    interval) and the verdict on it. A crossing is a share of the text, above 1 a multiple; null
    where the curves do not cross.
    """
    rivals = {rival.system: rival for rival in found.rivals}
    return {
        "measure": f"{HALF_DOCUMENT}_{MEASURE}",
        "num_queries": found.num_queries,
        "systems": list(found.forecasts),
        "shares": list(found.shares),
        "curve": [row for row in rows(found) if not row.pop("is_foretold")],
        "forecast": [
            {"system": system, "label": system_label(system), **vars(foretold.at_whole)}
            | (_beside(rivals[system]) if system in rivals else {})
            for system, foretold in found.forecasts.items()
        ],
        "crossings": {rival.system: rival.crosses_at for rival in found.rivals},
        "verdicts": list(sentences(found)),
    }


def sentences(found: Findings) -> Iterator[str]:
    """What is foretold of the embedder, who is likely to win, and where curves cross."""
    own = found.forecasts[EMBEDDER].at_whole
    yield f"Learned from the whole text, the embedder is foretold a recall@1 of {score_text(own)}."
    of_kind = {kind: [r for r in found.rivals if r.verdict is kind] for kind in Verdict}
    for rival in of_kind[Verdict.BEHIND]:
        yield (
            f"{_capital(rival.system)} is likely to win on the whole text: "
            f"{_foretold(found, rival)} against {score_text(own)}."
        )
    if ahead := of_kind[Verdict.AHEAD]:
        yield f"The embedder is likely to win over {_listed(found, ahead)}."
    if tied := of_kind[Verdict.TIED]:
        yield f"Not distinguishable from the embedder: {_listed(found, tied)}."
    if of_kind[Verdict.TOO_FEW]:
        yield f"{found.num_queries} test documents are too few to foretell who wins."
        return
    yield from (crossing_sentence(rival) for rival in found.rivals if rival.is_crossing_near)


def crossing_sentence(rival: Rival) -> str:
    """Who passes whom, and at how much text."""
    label = system_label(rival.system)
    first, second = ("the embedder", label) if rival.overtaken else (label, "the embedder")
    return f"By their lines {first} passes {second} at {amount_text(rival.crosses_at)}."


def amount_text(share: float | None) -> str:
    """``about 0.30 of the text`` or ``about 2.3 times the text``."""
    if share is None:
        return "no amount of text"
    return f"about {share:.2f} of the text" if share < 1 else f"about {share:.1f} times the text"


def score_text(estimate: MeanEstimate) -> str:
    """``0.77 (0.70 to 0.83)``."""
    value, low, high = (
        format_number(number, 2) for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})"


def _beside(rival: Rival) -> dict[str, Any]:
    lead_of = {name: getattr(rival.lead, name) for name in ("value", "low", "high")}
    return {"lead": lead_of, "verdict": str(rival.verdict)}


def _capital(system: str) -> str:
    label = system_label(system)
    return label[0].upper() + label[1:]


def _foretold(found: Findings, rival: Rival) -> str:
    return score_text(found.forecasts[rival.system].at_whole)


def _listed(found: Findings, rivals: Sequence[Rival]) -> str:
    return ", ".join(f"{system_label(r.system)} {_foretold(found, r)}" for r in rivals)
