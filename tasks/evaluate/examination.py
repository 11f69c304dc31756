"""All that the systems are asked, made ready once and put to one system after another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from model.retrieval import smallest_difference
from tasks.corpus import Corpus
from tasks.evaluate.classification import (
    Labelled,
    Skipped,
    classification_outcomes,
    labelled_documents,
)
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.few_labels import usable_label_counts
from tasks.evaluate.half_document import (
    HalfDocuments,
    half_document_results,
    half_documents,
    hard_half_documents,
)
from tasks.evaluate.relevance import JudgedQueries, read_relevance, relevance_outcomes
from tasks.evaluate.scores import (
    HARD_HALF_DOCUMENT,
    TASKS,
    Difference,
    Outcome,
    Score,
    differences,
    score,
)
from tasks.evaluate.similarity_pairs import (
    JudgedPairs,
    PairSimilarities,
    pair_difference,
    pair_score,
    pair_similarities,
    read_pairs,
)
from tasks.evaluate.vectors import NamedPair, System
from tasks.stage import Reporter
from tasks.system_names import EMBEDDER, HALF_DOCUMENT


@dataclass(frozen=True)
class Examination:
    """The questions.

    Attributes:
        corpus: what they are about.
        config: the stage's settings.
        halves: of test documents.
        hard: the same, with what both halves share masked in one.
        labelled: documents to classify, or why there are none.
        pairs: that people judged, where a file was named.
        judged: queries with their answers, where a file was named.
    """

    corpus: Corpus
    config: EvaluateConfig
    halves: HalfDocuments
    hard: HalfDocuments
    labelled: Labelled | Skipped
    pairs: JudgedPairs | None
    judged: JudgedQueries | None

    def unusable_label_counts(self) -> list[int]:
        """Counts of labels a class that were asked for and no class has."""
        if isinstance(self.labelled, Skipped):
            return []
        labels, counts = self.labelled.train_labels, self.config.labels_per_class
        return usable_label_counts(labels, counts)[1]


@dataclass
class Answers:
    """What the systems did.

    Attributes:
        outcomes: a value for every query.
        geometry: how the dense systems' vectors lie.
        similarities: what the systems make of the judged pairs.
        own_halves: the embedder's vectors of the whole halves.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    geometry: list[Score] = field(default_factory=list)
    similarities: list[PairSimilarities] = field(default_factory=list)
    own_halves: NamedPair | None = None

    def of_documents(self) -> list[Outcome]:
        """The outcomes whose queries are test documents."""
        tasks = (HALF_DOCUMENT, HARD_HALF_DOCUMENT)
        return [outcome for outcome in self.outcomes if outcome.task in tasks]


def examination(corpus: Corpus, config: EvaluateConfig) -> Examination:
    """Make the questions ready; the user's files first, so that a wrong one is refused at once.

    Raises:
        RequestError: a file that a setting names cannot be used.
        CorpusError: the test split is too small for a query.
        ArtifactError: the corpus is damaged.
    """
    pairs = read_pairs(config.similarity_pairs) if config.similarity_pairs else None
    judged = read_relevance(config.relevance, corpus) if config.relevance else None
    halves = half_documents(corpus, config)
    return Examination(
        corpus=corpus,
        config=config,
        halves=halves,
        hard=hard_half_documents(corpus, halves, config),
        labelled=labelled_documents(corpus, config),
        pairs=pairs,
        judged=judged,
    )


def examine(systems: Iterator[System], asked: Examination, report: Reporter) -> Answers:
    """Put every question to every system; one system is held at a time.

    Cost: each system embeds the halves twice, the labelled documents, and the whole corpus where
    queries were judged.
    """
    answers = Answers()
    for system in systems:
        report.message(f"scoring {system.name} on {asked.halves.num_queries} half documents")
        _ask_halves(system, asked, answers)
        answers.outcomes.extend(_other_outcomes(system, asked))
        if asked.pairs:
            answers.similarities.extend(pair_similarities(system, asked.pairs))
    answers.outcomes.sort(key=lambda outcome: TASKS.index(outcome.task))
    return answers


def scores_of(answers: Answers, asked: Examination) -> list[Score]:
    """Every system's scores with their intervals, task by task."""
    resampling = _resampling(asked.config)
    scores = [score(outcome, **resampling) for outcome in answers.outcomes]
    if asked.pairs:
        scores += [pair_score(found, asked.pairs, **resampling) for found in answers.similarities]
    return sorted([*scores, *answers.geometry], key=lambda each: TASKS.index(each.task))


def differences_of(answers: Answers, asked: Examination) -> list[Difference]:
    """The embedder beside every other system, on the same queries, task by task."""
    resampling = _resampling(asked.config)
    found = differences(answers.outcomes, **resampling)
    if asked.pairs:
        own = next(each for each in answers.similarities if each.system == EMBEDDER)
        found += [
            pair_difference(own, other, asked.pairs, **resampling)
            for other in answers.similarities
            if other.system != EMBEDDER
        ]
    return sorted(found, key=lambda each: TASKS.index(each.task))


def blind_systems(similarities: Sequence[PairSimilarities]) -> list[str]:
    """Systems that find all judged pairs equally alike, so that their correlation says nothing."""
    return [found.system for found in similarities if found.is_blind]


def smallest_differences(answers: Answers) -> dict[tuple[str, str, str], float]:
    """By task, measure and baseline the smallest true difference that so many queries would show;
    NaN where all differ alike."""
    own = {(o.task, o.measure): o.values_Q for o in answers.outcomes if o.system == EMBEDDER}
    return {
        (other.task, other.measure, other.system): smallest_difference(
            own[other.task, other.measure], other.values_Q
        )
        for other in answers.outcomes
        if other.system != EMBEDDER and len(other.values_Q) > 1
    }


def _ask_halves(system: System, asked: Examination, answers: Answers) -> None:
    plain = half_document_results(system, asked.halves)
    answers.outcomes += plain.outcomes
    answers.geometry += plain.geometry
    answers.outcomes += half_document_results(system, asked.hard).outcomes
    if system.name == EMBEDDER:
        answers.own_halves = plain.vectors


def _other_outcomes(system: System, asked: Examination) -> Iterator[Outcome]:
    config = asked.config
    if isinstance(asked.labelled, Labelled):
        yield from classification_outcomes(
            system,
            asked.labelled,
            seed=config.seed,
            labels_per_class=config.labels_per_class,
            num_neighbours=config.num_neighbours,
        )
    if asked.judged:
        yield from relevance_outcomes(system, asked.judged, asked.corpus)


def _resampling(config: EvaluateConfig) -> dict[str, int]:
    return {"num_resamples": config.num_resamples, "seed": config.seed}
