"""Asks a challenger and the released embedder for the second halves of held-out documents."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from model.retrieval import bootstrap_difference, bootstrap_mean
from tasks.corpus import Corpus
from tasks.evaluate.common_documents import CommonDocuments, common_documents
from tasks.evaluate.encoders import embedder_system
from tasks.evaluate.half_document import HalfDocuments, half_document_results, halves_of
from tasks.evaluate.scores import Outcome
from tasks.release.trial.config import TrialConfig
from tasks.release.trial.definition import RELEASED_CORPUS, RELEASED_EMBEDDER
from tasks.release.trial.findings import BOTH, NEW, Measured, Trial
from tasks.runtime.devices import pick_device
from tasks.stage import Metrics, StageContext

CHALLENGER, RELEASED = "challenger", "released"

_Answers = dict[str, list[Outcome]]  # by kind of documents
_Estimates = dict[str, int]


def run(context: StageContext) -> Metrics:
    """Measure both and write ``trial.json``. Too few documents are a finding, not an error.

    Returns:
        How many documents of each kind there were, and each difference with its bounds.

    Raises:
        ArtifactError: an embedder or a corpus is damaged.
    """
    config: TrialConfig = context.config
    corpus = Corpus(context.inputs["ingest"].path)
    common = common_documents(corpus, Corpus(context.inputs[RELEASED_CORPUS].path))
    asked = _questions(corpus, common, config)
    embedders = {
        CHALLENGER: context.inputs["tune"].path,
        RELEASED: context.inputs[RELEASED_EMBEDDER].path,
    }
    answers = {name: _answers(name, path, asked, context) for name, path in embedders.items()}
    trial = Trial(
        measured=list(_measured(answers, config)),
        num_both=common.num_common,
        num_new=common.num_unknown,
        num_learned=common.num_learned,
    )
    trial.write(context.output)
    return _metrics(trial)


def _questions(
    corpus: Corpus, common: CommonDocuments, config: TrialConfig
) -> dict[str, HalfDocuments]:
    """By kind of documents, where there are two to tell apart."""
    kinds = {
        BOTH: (common.hashes, common.num_common),
        NEW: (common.unknown, common.num_unknown),
    }
    asked = {}
    for kind, (hashes, count) in kinds.items():
        documents = (each for each in corpus.documents("test") if each.content_sha256 in hashes)
        halves = halves_of(documents, count, corpus.about, config.questions)
        if halves.num_queries > 1:
            asked[kind] = halves
    return asked


def _answers(
    name: str, folder: Path, asked: Mapping[str, HalfDocuments], context: StageContext
) -> _Answers:
    device = pick_device(context.config.device)
    if not asked:
        return {}
    context.report.message(f"trying the {name} on {_told(asked)}")
    system = embedder_system(name, folder, device=device, report=context.report)
    return {kind: half_document_results(system, halves).outcomes for kind, halves in asked.items()}


def _told(asked: Mapping[str, HalfDocuments]) -> str:
    kinds = {BOTH: "documents that both hold out", NEW: "new documents"}
    return " and ".join(f"{halves.num_queries} {kinds[kind]}" for kind, halves in asked.items())


def _measured(answers: Mapping[str, _Answers], config: TrialConfig) -> Iterator[Measured]:
    resampling: _Estimates = {"num_resamples": config.num_resamples, "seed": config.seed}
    for kind, challenger in answers[CHALLENGER].items():
        for own, other in zip(challenger, answers[RELEASED][kind], strict=True):
            yield Measured(
                documents=kind,
                measure=own.measure,
                challenger=bootstrap_mean(own.values_Q, **resampling),
                released=bootstrap_mean(other.values_Q, **resampling),
                difference=bootstrap_difference(own.values_Q, other.values_Q, **resampling),
            )


def _metrics(trial: Trial) -> Metrics:
    metrics = {
        "num_both": float(trial.num_both),
        "num_new": float(trial.num_new),
        "num_learned": float(trial.num_learned),
    }
    for each in trial.measured:
        name, difference = f"{each.documents}_{each.measure}", each.difference
        metrics |= {
            f"{name}_challenger": each.challenger.value,
            f"{name}_released": each.released.value,
            f"{name}_difference": difference.value,
            f"{name}_difference_low": difference.low,
            f"{name}_difference_high": difference.high,
            f"{each.documents}_num_queries": float(difference.n),
        }
    return metrics
