"""The evaluate stage: every system on every task, into tables and a report."""

from collections.abc import Iterator, Sequence
from itertools import chain

from tasks.corpus import Corpus
from tasks.evaluate.baselines import baseline_systems
from tasks.evaluate.comparison import (
    Comparison,
    QuestionsForBoth,
    compared,
    comparison_metrics,
    questions_for_both,
)
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.definition import EVALUATE
from tasks.evaluate.encoders import encoder_systems
from tasks.evaluate.examination import (
    Answers,
    Examination,
    blind_systems,
    differences_of,
    examination,
    examine,
    scores_of,
    smallest_differences,
)
from tasks.evaluate.report import Evaluation, report_page
from tasks.evaluate.report_documents import places_of
from tasks.evaluate.sample import Sample, sample_documents
from tasks.evaluate.scores import write_differences, write_outcomes, write_scores
from tasks.evaluate.vectors import System
from tasks.runtime.devices import pick_device
from tasks.stage import Metrics, Reporter, StageContext

__all__ = ["EVALUATE", "run"]

SCORES = "scores.parquet"
DIFFERENCES = "differences.parquet"
OUTCOMES = "outcomes.parquet"
REPORT = "report.html"
OVERVIEW = "overview.html"
REPORT_BYTES = 100_000  # of what is written, at least


def run(context: StageContext) -> Metrics:
    """Score the embedder and its baselines; write the tables and the pages.

    Returns:
        Each score under its flat name, the embedder's bare, and how many queries there were.

    Raises:
        RequestError: a file or folder that a setting names cannot be used.
        CorpusError: the test split is too small for a query, there is no word to learn from, or
            another embedder has no test document in common.
        ArtifactError: an input, or another embedder or its corpus, is damaged.
    """
    config: EvaluateConfig = context.config
    context.need_room(REPORT_BYTES)
    corpus = Corpus(context.inputs["ingest"].path)
    asked = examination(corpus, config)
    train = sample_documents(
        corpus.documents("train"),
        max_documents=config.max_train_documents,
        max_text_bytes=config.max_train_mb * 10**6,
        seed=config.seed,
    )
    for_both = questions_for_both(corpus, config)
    answers = examine(_systems(context, train), asked, context.report)
    _say_what_is_missing(answers, asked, context.report)
    evaluation = Evaluation(
        scores=scores_of(answers, asked),
        differences=differences_of(answers, asked),
        smallest=smallest_differences(answers),
        answers=answers,
        asked=asked,
        train=train,
        places_N2=places_of(answers, seed=config.seed),
        comparisons=_comparisons(context, for_both),
    )
    _write(evaluation, context)
    return _metrics(evaluation)


def _systems(context: StageContext, train: Sample) -> Iterator[System]:
    config: EvaluateConfig = context.config
    encoders = encoder_systems(
        context.inputs["tune"].path,
        context.inputs["pretrain"].path,
        seed=config.seed,
        device=pick_device(config.device),
        report=context.report,
        sentence_transformers=config.sentence_transformers,
    )
    texts = [document.text for document in train.documents]
    return chain(encoders, baseline_systems(texts, config, context.report))


def _comparisons(context: StageContext, for_both: Sequence[QuestionsForBoth]) -> list[Comparison]:
    config: EvaluateConfig = context.config
    own, device = context.inputs["tune"].path, pick_device(config.device)
    return [
        compared(own, asked, config, device=device, report=context.report) for asked in for_both
    ]


def _say_what_is_missing(answers: Answers, asked: Examination, report: Reporter) -> None:
    for count in asked.unusable_label_counts():
        report.message(f"no class has {count} labelled training documents: that count is left out")
    for system in blind_systems(answers.similarities):
        report.warning(
            f"{system} finds all judged pairs equally alike: its correlation counts as 0"
        )


def _write(evaluation: Evaluation, context: StageContext) -> None:
    output, asked, answers = context.output, evaluation.asked, evaluation.answers
    write_scores(evaluation.scores, output / SCORES)
    beside_others = [each for found in evaluation.comparisons for each in found.differences]
    write_differences([*evaluation.differences, *beside_others], output / DIFFERENCES)
    write_outcomes(answers.of_documents(), asked.halves.doc_ids, output / OUTCOMES)
    (output / REPORT).write_text(report_page(evaluation, may_quote=True), "utf-8")
    (output / OVERVIEW).write_text(report_page(evaluation, may_quote=False), "utf-8")


def _metrics(evaluation: Evaluation) -> Metrics:
    metrics = {score.metric: score.estimate.value for score in evaluation.scores}
    metrics["half_document_num_queries"] = float(evaluation.asked.halves.num_queries)
    metrics["half_document_num_too_short"] = float(evaluation.asked.halves.num_too_short)
    for found in evaluation.comparisons:
        metrics |= comparison_metrics(found)
    return metrics
