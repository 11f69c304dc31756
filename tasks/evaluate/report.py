"""The page that says how good the embedder is, and where a baseline is better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tasks.evaluate.classification import Labelled, Skipped
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.half_document import HalfDocuments
from tasks.evaluate.sample import Sample
from tasks.evaluate.scores import (
    CLASSIFICATION,
    EMBEDDER,
    HALF_DOCUMENT,
    Difference,
    Score,
)
from tasks.evaluate.verdicts import system_label, verdict, verdict_sentence
from tasks.report.page import (
    Figure,
    Section,
    Table,
    format_interval,
    format_number,
    render_report,
)
from tasks.report.plots import Estimate, Role, estimate_plot

MEASURE_LABELS = {
    "recall_at_1": "recall@1",
    "recall_at_10": "recall@10",
    "mrr": "MRR",
    "accuracy": "accuracy",
}
Row = TypeVar("Row", Score, Difference)
HEADLINES = {HALF_DOCUMENT: "recall_at_1", CLASSIFICATION: "accuracy"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything the page tells.

    Attributes:
        scores: each system's, embedder first.
        differences: embedder minus every other system, on the same queries.
        halves: the half-document queries.
        labelled: the classification's documents, or why there is none.
        train: what the baselines learned from.
        config: the stage's settings.
    """

    scores: Sequence[Score]
    differences: Sequence[Difference]
    halves: HalfDocuments
    labelled: Labelled | Skipped
    train: Sample
    config: EvaluateConfig


def report_page(evaluation: Evaluation) -> str:
    """The page as self-contained HTML; the same evaluation gives the same bytes."""
    return render_report(
        "How good are the embeddings?",
        [
            _half_document_section(evaluation),
            _classification_section(evaluation),
            _systems_section(evaluation),
        ],
        lead=_lead(evaluation),
        facts=_facts(evaluation),
    )


def _lead(evaluation: Evaluation) -> str:
    scores = {
        score.system: score.estimate
        for score in _of(evaluation.scores, HALF_DOCUMENT, "recall_at_1")
    }
    own = scores.pop(EMBEDDER)
    best = max(
        (system for system in scores if not system.startswith(EMBEDDER)),
        key=lambda system: scores[system].value,
    )
    beside_best = next(
        difference
        for difference in _of(evaluation.differences, HALF_DOCUMENT, "recall_at_1")
        if difference.baseline == best
    )
    return (
        f"Given the first half of a document, the embedder ranks its second half first among "
        f"{own.n:,} in {own.value:.1%} of cases; the best of the others, {system_label(best)}, in "
        f"{scores[best].value:.1%}. {verdict_sentence([beside_best], 'recall@1')}"
    )


def _facts(evaluation: Evaluation) -> dict[str, str]:
    halves, train, config = evaluation.halves, evaluation.train, evaluation.config
    facts = {
        "test documents": f"{halves.num_test_documents:,}",
        "queries": f"{halves.num_queries:,}",
        "too short": f"{halves.num_too_short:,}",
    }
    if halves.num_not_sampled:
        facts["beyond the cap"] = f"{halves.num_not_sampled:,}"
    facts["training documents"] = f"{len(train.documents):,}" + (
        "" if train.is_whole else f" of {train.num_available:,}"
    )
    return facts | {"resamples": f"{config.num_resamples:,}", "seed": str(config.seed)}


def _half_document_section(evaluation: Evaluation) -> Section:
    halves, config = evaluation.halves, evaluation.config
    paragraphs = [
        "Every test document is cut in two at the sentence end nearest its middle. Each first half "
        "asks, all second halves are ranked by cosine, and the right answer is the other half of "
        "the same document. No label is needed and nothing of a test document was trained on.",
        f"{halves.num_too_short:,} of {halves.num_test_documents:,} test documents have fewer than "
        f"{2 * config.min_words} words and are left out.{_notes_on_halves(halves, config)}",
    ]
    return Section(
        title="Half-document retrieval",
        paragraphs=paragraphs,
        blocks=[*_blocks(evaluation, HALF_DOCUMENT)],
    )


def _notes_on_halves(halves: HalfDocuments, config: EvaluateConfig) -> str:
    notes = ""
    if halves.num_not_sampled:
        notes += (
            f" Of the rest, a seeded sample of {config.max_queries:,} was taken "
            "(evaluate.max_queries)."
        )
    if halves.num_recurring_lines:
        notes += (
            f" {halves.num_recurring_lines:,} distinct lines that stand in more than "
            f"{config.recurring_line_frac:.0%} of the documents were taken out of both halves."
        )
    return notes


def _classification_section(evaluation: Evaluation) -> Section:
    labelled = evaluation.labelled
    if isinstance(labelled, Skipped):
        return Section(title="Classification", paragraphs=[f"Skipped: {labelled.reason}."])
    paragraph = (
        f"Logistic regression from a document's vector to its {labelled.column}, fitted on "
        f"{len(labelled.train_texts):,} training documents, its penalty chosen on a fifth of them, "
        f"scored on {len(labelled.test_texts):,} test documents. Always answering the most "
        f"frequent label of the training documents is right in {labelled.majority_frac:.1%}."
    )
    return Section(
        title=f"Classification by {labelled.column}",
        paragraphs=[paragraph],
        blocks=[*_blocks(evaluation, CLASSIFICATION)],
    )


def _blocks(evaluation: Evaluation, task: str) -> Iterator[Figure | Table]:
    headline = HEADLINES[task]
    yield Figure(
        svg=estimate_plot(
            f"{task}-{headline}",
            [_estimate(score) for score in _of(evaluation.scores, task, headline)],
            x_label=MEASURE_LABELS[headline],
            limits=(-0.02, 1.02),
        ),
        title=f"{MEASURE_LABELS[headline]} of each system",
        says=verdict_sentence(
            _of(evaluation.differences, task, headline), MEASURE_LABELS[headline]
        ),
        note="Bars are 95 % bootstrap intervals over test documents. Two that overlap may still "
        "differ: ahead and behind are said where the paired interval of the difference, taken "
        "document by document, excludes zero.",
        wide=True,
    )
    yield _score_table(evaluation.scores, task)
    yield _difference_table(evaluation.differences, task)


def _score_table(scores: Sequence[Score], task: str) -> Table:
    of_task = [score for score in scores if score.task == task]
    measures = list(dict.fromkeys(score.measure for score in of_task))
    systems = list(dict.fromkeys(score.system for score in of_task))
    cells = {
        (score.system, score.measure): format_interval(
            score.estimate.value, score.estimate.low, score.estimate.high
        )
        for score in of_task
    }
    return Table(
        says=f"Scores with 95 % intervals, n = {of_task[0].estimate.n:,} each; higher is better.",
        columns=["system", *(MEASURE_LABELS[measure] for measure in measures)],
        rows=[
            [system_label(system), *(cells[system, measure] for measure in measures)]
            for system in systems
        ],
        emphasized=frozenset({systems.index(EMBEDDER)}),
    )


def _difference_table(differences: Sequence[Difference], task: str) -> Table:
    return Table(
        says="The embedder minus each other system on the same documents, with paired intervals.",
        columns=["beside", "measure", "the embedder is", "difference"],
        rows=[
            [
                system_label(difference.baseline),
                MEASURE_LABELS[difference.measure],
                verdict(difference.estimate),
                format_interval(
                    difference.estimate.value, difference.estimate.low, difference.estimate.high
                ),
            ]
            for difference in differences
            if difference.task == task
        ],
        num_label_columns=3,
        folded=True,
    )


def _systems_section(evaluation: Evaluation) -> Section:
    config, train = evaluation.config, evaluation.train
    sample = (
        f"all {train.num_available:,} training documents"
        if train.is_whole
        else f"a seeded sample of {len(train.documents):,} of {train.num_available:,} training "
        "documents (evaluate.max_train_documents, evaluate.max_train_mb)"
    )
    rows = [
        ["embedder", "the tuned encoder as exported: windows, mean over all tokens, normalised"],
        ["embedder, N dim", "the first N numbers of the same vectors, normalised again"],
        ["before tuning", "the pretrained encoder with the same tokens and pooling"],
        ["random weights", "the same architecture, never trained: what tokens alone give"],
        ["TF-IDF", f"rare words weighted up, fitted on {sample}"],
        [
            "mean Word2Vec",
            f"skip-gram, {config.word2vec_dim} dimensions, {config.word2vec_epochs} passes over "
            "the same documents",
        ],
    ]
    return Section(
        title="What is compared",
        paragraphs=[
            "A half repeats words of the other, so matching words is a strong method here; it "
            "fails where a query shares no word with its answer, which this page does not measure."
        ],
        blocks=[
            Table(
                says="Every system turns a text into one vector.",
                columns=["system", "what it is"],
                rows=rows,
                num_label_columns=2,
            )
        ],
    )


def _estimate(score: Score) -> Estimate:
    number = format_number(score.estimate.value)
    return Estimate(
        label=f"{system_label(score.system)}  {number}",
        value=score.estimate.value,
        low=score.estimate.low,
        high=score.estimate.high,
        role=_role(score.system),
    )


def _role(system: str) -> Role:
    if system.startswith(EMBEDDER):
        return "subject"
    return "control" if system in ("pretrained", "untrained") else "reference"


def _of(rows: Sequence[Row], task: str, measure: str) -> list[Row]:
    return [row for row in rows if row.task == task and row.measure == measure]
