"""The evaluate stage: every system on every task, into tables and a report."""

from collections.abc import Iterator, Sequence

from tasks.corpus import Corpus
from tasks.evaluate.baselines import MeanWord2Vec, Tfidf
from tasks.evaluate.classification import (
    Labelled,
    Skipped,
    classification_outcomes,
    labelled_documents,
)
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.encoders import encoder_systems
from tasks.evaluate.half_document import HalfDocuments, half_document_outcomes, half_documents
from tasks.evaluate.report import Evaluation, report_page
from tasks.evaluate.sample import Sample, sample_documents
from tasks.evaluate.scores import (
    CLASSIFICATION,
    Outcome,
    differences,
    score,
    write_differences,
    write_scores,
)
from tasks.evaluate.vectors import System
from tasks.runtime.devices import pick_device
from tasks.stage import Metrics, Stage, StageContext

SCORES = "scores.parquet"
DIFFERENCES = "differences.parquet"
REPORT = "report.html"


def run(context: StageContext) -> Metrics:
    """Score the embedder and its baselines; write the two tables and the page.

    Returns:
        Each score under its flat name, the embedder's bare, and how many queries there were.

    Raises:
        CorpusError: the test split is too small for a query, or there is no word to learn from.
        ArtifactError: an input is damaged.
    """
    config: EvaluateConfig = context.config
    corpus = Corpus(context.inputs["ingest"].path)
    halves = half_documents(corpus, config)
    labelled = labelled_documents(corpus, config)
    train = sample_documents(
        corpus.documents("train"),
        max_documents=config.max_train_documents,
        max_text_bytes=config.max_train_mb * 10**6,
        seed=config.seed,
    )
    outcomes = [
        outcome
        for system in _systems(context, train)
        for outcome in _outcomes(system, halves, labelled, context)
    ]
    outcomes.sort(key=lambda outcome: outcome.task == CLASSIFICATION)
    evaluation = _summarize(outcomes, halves, labelled, train, config)
    write_scores(evaluation.scores, context.output / SCORES)
    write_differences(evaluation.differences, context.output / DIFFERENCES)
    (context.output / REPORT).write_text(report_page(evaluation), encoding="utf-8")
    return _metrics(evaluation)


def _systems(context: StageContext, train: Sample) -> Iterator[System]:
    config: EvaluateConfig = context.config
    yield from encoder_systems(
        context.inputs["tune"].path,
        context.inputs["pretrain"].path,
        seed=config.seed,
        device=pick_device(config.device),
        report=context.report,
    )
    texts = [document.text for document in train.documents]
    context.report.message(f"fitting the baselines on {len(texts)} training documents")
    yield Tfidf(texts)
    yield MeanWord2Vec(
        texts, dim=config.word2vec_dim, num_epochs=config.word2vec_epochs, seed=config.seed
    )


def _outcomes(
    system: System, halves: HalfDocuments, labelled: Labelled | Skipped, context: StageContext
) -> Iterator[Outcome]:
    context.report.message(f"scoring {system.name} on {halves.num_queries} half documents")
    yield from half_document_outcomes(system, halves)
    if isinstance(labelled, Labelled):
        context.report.message(f"scoring {system.name} on the label {labelled.column}")
        yield from classification_outcomes(system, labelled, seed=context.config.seed)


def _summarize(
    outcomes: Sequence[Outcome],
    halves: HalfDocuments,
    labelled: Labelled | Skipped,
    train: Sample,
    config: EvaluateConfig,
) -> Evaluation:
    resampling = {"num_resamples": config.num_resamples, "seed": config.seed}
    return Evaluation(
        scores=[score(outcome, **resampling) for outcome in outcomes],
        differences=differences(outcomes, **resampling),
        halves=halves,
        labelled=labelled,
        train=train,
        config=config,
    )


def _metrics(evaluation: Evaluation) -> Metrics:
    metrics = {score.metric: score.estimate.value for score in evaluation.scores}
    metrics["half_document_num_queries"] = float(evaluation.halves.num_queries)
    metrics["half_document_num_too_short"] = float(evaluation.halves.num_too_short)
    return metrics


EVALUATE = Stage(
    name="evaluate",
    version=1,
    upstream=("ingest", "vocab", "tokenize", "pretrain", "tune"),
    run=run,
    tracked_files=(SCORES, DIFFERENCES, REPORT),
)
