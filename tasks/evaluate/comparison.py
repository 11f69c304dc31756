"""Our embedder beside that of another run, on the documents that are `test` for both."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.evaluate.common_documents import CommonDocuments, common_documents
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.encoders import embedder_system
from tasks.evaluate.examination import Answers, smallest_differences
from tasks.evaluate.half_document import (
    HalfDocuments,
    half_document_results,
    halves_of,
    hard_half_documents,
)
from tasks.evaluate.other_embedders import SETTING, other_embedders
from tasks.evaluate.scores import Difference, Score, differences, score
from tasks.stage import Metrics, Reporter
from tasks.system_names import EMBEDDER


@dataclass(frozen=True)
class QuestionsForBoth:
    """What two embedders are asked, neither of which was trained on it.

    Attributes:
        name: the other embedder's.
        folder: where it lies.
        common: our test documents by what the other's corpus has of them.
        halves: of documents that are test for both; no other half is ranked.
        hard: the same, the words that our training documents rarely have masked in one half.
    """

    name: str
    folder: Path
    common: CommonDocuments
    halves: HalfDocuments
    hard: HalfDocuments


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        asked: the questions.
        scores: of both embedders, ours first.
        differences: ours minus theirs, on the same documents and the same resamples of them.
        smallest: true differences that so many documents would show, by task, measure and name
            (`model.retrieval.smallest_difference`); NaN where all differ alike.
    """

    asked: QuestionsForBoth
    scores: list[Score]
    differences: list[Difference]
    smallest: dict[tuple[str, str, str], float]

    def smallest_of(self, difference: Difference) -> float:
        """The one that belongs to a difference."""
        return self.smallest[difference.task, difference.measure, difference.baseline]


def questions_for_both(corpus: Corpus, config: EvaluateConfig) -> list[QuestionsForBoth]:
    """The questions for each embedder that the settings name.

    Raises:
        RequestError: a folder is no embedder, or its corpus is gone.
        CorpusError: there are no two common test documents that are long enough.
        ArtifactError: an embedder or a corpus is damaged.

    Cost: each other corpus is verified and read through once; one pass over our training text each.
    """
    asked = []
    for other in other_embedders(config.compare_with):
        folder, their_corpus = other.folders()
        common = common_documents(corpus, Corpus(their_corpus))
        halves = _common_halves(corpus, common, config, other.name)
        hard = hard_half_documents(corpus, halves, config)
        asked.append(QuestionsForBoth(other.name, folder, common, halves, hard))
    return asked


def compared(
    own: Path,
    asked: QuestionsForBoth,
    config: EvaluateConfig,
    *,
    device: torch.device,
    report: Reporter,
) -> Comparison:
    """Put the questions to our embedder, in the folder `own`, and to the other, one at a time.

    Raises:
        ArtifactError: a folder holds no usable embedder.
    """
    answers = Answers()
    for name, folder in ((EMBEDDER, own), (asked.name, asked.folder)):
        num = asked.halves.num_queries
        report.message(f"comparing {name} on {num} half documents that are test for both")
        system = embedder_system(name, folder, device=device, report=report)
        for halves in (asked.halves, asked.hard):
            answers.outcomes += half_document_results(system, halves).outcomes
    resampling = {"num_resamples": config.num_resamples, "seed": config.seed}
    return Comparison(
        asked,
        scores=[score(outcome, **resampling) for outcome in answers.outcomes],
        differences=differences(answers.outcomes, **resampling),
        smallest=smallest_differences(answers),
    )


def comparison_metrics(found: Comparison) -> Metrics:
    """Differences with their bounds and the smallest that would show, and how many documents there
    are, under flat names after the other's; what is not a number is left out."""
    common = found.asked.common
    counts = {
        "num_queries": found.asked.halves.num_queries,
        "num_common": common.num_common,
        "num_learned": common.num_learned,
        "num_unknown": common.num_unknown,
    }
    metrics = {f"{found.asked.name}_{key}": float(value) for key, value in counts.items()}
    for difference in found.differences:
        name = f"{difference.baseline}_{difference.task}_{difference.measure}_difference"
        estimate, smallest = difference.estimate, found.smallest_of(difference)
        metrics |= {
            name: estimate.value,
            f"{name}_low": estimate.low,
            f"{name}_high": estimate.high,
        }
        if not math.isnan(smallest):
            metrics[f"{name}_shown_from"] = smallest
    return metrics


def _common_halves(
    corpus: Corpus, common: CommonDocuments, config: EvaluateConfig, name: str
) -> HalfDocuments:
    documents = (each for each in corpus.documents("test") if each.content_sha256 in common.hashes)
    halves = halves_of(documents, common.num_common, corpus.about, config)
    if halves.num_queries < 2:
        num_test = corpus.about.num_documents.get("test", 0)
        raise CorpusError(
            f"{SETTING}: of our {num_test:,} test documents {common.num_common:,} are test for "
            f"{name} too ({common.num_learned:,} are known to it from training, "
            f"{common.num_unknown:,} not at all), {halves.num_queries:,} of them long enough; it "
            "takes 2: give both corpora the same documents as test (ingest.split_column), or lower "
            "evaluate.min_words"
        )
    return halves
