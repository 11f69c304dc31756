"""The page that says how good the embedder is, and where a baseline is better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.evaluate.classification import Skipped
from tasks.evaluate.comparison import Comparison
from tasks.evaluate.examination import Answers, Examination
from tasks.evaluate.report_comparison import comparison_sections, comparison_sentence
from tasks.evaluate.report_documents import document_sections
from tasks.evaluate.report_layers import layer_section, layer_sentence
from tasks.evaluate.report_tables import (
    SmallestDifferences,
    rows_of,
    score_table,
    task_blocks,
)
from tasks.evaluate.sample import Sample
from tasks.evaluate.scores import (
    CLASSIFICATION,
    GEOMETRY,
    HARD_HALF_DOCUMENT,
    RELEVANCE,
    SIMILARITY_PAIRS,
    Difference,
    Score,
)
from tasks.evaluate.verdicts import verdict_sentence
from tasks.report.page import Figure, Section, Table, render_report
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, is_layer, system_label

_RESAMPLED = {  # by whether texts recur
    True: "Texts stand in several pairs, and pairs that share a text are not independent, so the "
    "intervals come from resampling texts: a pair counts by the product of how often its two texts "
    "were drawn (Owen 2007, The pigeonhole bootstrap), and one whose texts stand in no other pair "
    "as often as it was drawn itself.",
    False: "Every text stands in one pair, so the intervals come from resampling pairs.",
}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything the page tells.

    Attributes:
        scores: each system's, embedder first.
        differences: embedder minus every other system, on the same queries.
        smallest: true differences that so many queries would show.
        answers: what stands behind them.
        asked: the questions.
        train: what the baselines learned from.
        places_N2: where test documents lie on the map.
        comparisons: with the embedders of other runs.
    """

    scores: Sequence[Score]
    differences: Sequence[Difference]
    smallest: SmallestDifferences
    answers: Answers
    asked: Examination
    train: Sample
    places_N2: NDArray[np.float32]
    comparisons: Sequence[Comparison] = ()


def report_page(evaluation: Evaluation, *, may_quote: bool) -> str:
    """The page as self-contained HTML; the same evaluation gives the same bytes.

    Args:
        may_quote: whether titles and passages of documents may stand in it.
    """
    return render_report(
        "How good are the embeddings?",
        [
            _half_document_section(evaluation),
            _hard_section(evaluation),
            layer_section(evaluation.scores, evaluation.differences, evaluation.smallest),
            *comparison_sections(evaluation.comparisons, evaluation.asked.config),
            *document_sections(
                evaluation.answers, evaluation.asked, evaluation.places_N2, may_quote=may_quote
            ),
            _classification_section(evaluation),
            *_judged_sections(evaluation),
            *_geometry_section(evaluation),
            _systems_section(evaluation),
        ],
        lead=_lead(evaluation),
        facts=_facts(evaluation),
    )


def _lead(evaluation: Evaluation) -> str:
    scores = {
        score.system: score.estimate
        for score in rows_of(evaluation.scores, HALF_DOCUMENT, "recall_at_1")
    }
    own = scores.pop(EMBEDDER)
    best = max(
        (system for system in scores if not system.startswith(EMBEDDER) and not is_layer(system)),
        key=lambda system: scores[system].value,
    )
    beside_best = next(
        difference
        for difference in rows_of(evaluation.differences, HALF_DOCUMENT, "recall_at_1")
        if difference.baseline == best
    )
    lead = (
        f"Given the first half of a document, the embedder ranks its second half first among "
        f"{own.n:,} in {own.value:.1%} of cases; the best of the others, {system_label(best)}, in "
        f"{scores[best].value:.1%}. {verdict_sentence([beside_best], 'recall@1')}"
    )
    layer = layer_sentence(evaluation.differences, evaluation.smallest)
    return " ".join([lead, layer, *map(comparison_sentence, evaluation.comparisons)])


def _facts(evaluation: Evaluation) -> dict[str, str]:
    halves, train = evaluation.asked.halves, evaluation.train
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
    resamples = f"{evaluation.asked.config.num_resamples:,}"
    return facts | {"resamples": resamples, "seed": str(_seed(evaluation))}


def _half_document_section(evaluation: Evaluation) -> Section:
    halves, config = evaluation.asked.halves, evaluation.asked.config
    paragraphs = [
        "Every test document is cut in two at the sentence end nearest its middle. Each first half "
        "asks, all second halves are ranked, and the right answer is the other half of the same "
        "document. No label is needed and nothing of a test document was trained on.",
        f"{halves.num_too_short:,} of {halves.num_test_documents:,} test documents have fewer than "
        f"{2 * config.min_words} words and are left out.{_notes_on_halves(evaluation)}",
    ]
    return Section(
        title="Half-document retrieval",
        paragraphs=paragraphs,
        blocks=[*_blocks(evaluation, HALF_DOCUMENT)],
    )


def _notes_on_halves(evaluation: Evaluation) -> str:
    halves, config = evaluation.asked.halves, evaluation.asked.config
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


def _hard_section(evaluation: Evaluation) -> Section:
    hard, config = evaluation.asked.hard, evaluation.asked.config
    per_document = hard.num_masked_words / hard.num_queries
    return Section(
        title="The same without shared rare words",
        paragraphs=[
            "A half repeats names and numbers of the other, which makes matching words a strong "
            f"method. Here each word that both halves have and at most "
            f"{config.hard_document_frac:.1%} of the training documents (evaluate."
            f"hard_document_frac) is taken out of one of them: {per_document:.1f} words a document."
        ],
        blocks=[*_blocks(evaluation, HARD_HALF_DOCUMENT)],
    )


def _classification_section(evaluation: Evaluation) -> Section:
    labelled, config = evaluation.asked.labelled, evaluation.asked.config
    if isinstance(labelled, Skipped):
        return Section(title="Classification", paragraphs=[f"Skipped: {labelled.reason}."])
    paragraphs = [
        f"Logistic regression from a document's vector to its {labelled.column}, fitted on "
        f"{len(labelled.train_texts):,} training documents, its penalty chosen on a fifth of them, "
        f"scored on {len(labelled.test_texts):,} test documents. Always answering the most "
        f"frequent label of the training documents is right in {labelled.majority_frac:.1%}.",
        "With a few labels a class the penalty is fixed and the figure is a mean over five draws "
        "of the labelled documents: what learning without labels is worth. By neighbours: the "
        f"label that most of the {config.num_neighbours} nearest training documents have.",
    ]
    return Section(
        title=f"Classification by {labelled.column}",
        paragraphs=paragraphs,
        blocks=[*_blocks(evaluation, CLASSIFICATION)],
    )


def _judged_sections(evaluation: Evaluation) -> Iterator[Section]:
    pairs, judged = evaluation.asked.pairs, evaluation.asked.judged
    if pairs:
        yield Section(
            title="Pairs that people judged",
            paragraphs=[
                f"Spearman's rank correlation of the similarities of {len(pairs.judged_P):,} pairs "
                f"of {pairs.num_texts:,} texts with the judgements.",
                _RESAMPLED[pairs.units.has_texts],
            ],
            blocks=[*_blocks(evaluation, SIMILARITY_PAIRS)],
        )
    if judged:
        yield Section(
            title="Queries with known answers",
            paragraphs=[
                f"{len(judged.queries):,} queries, each against all {judged.num_candidates:,} "
                f"documents of the corpus. {judged.num_unanswered:,} queries without a relevant "
                "document are left out."
            ],
            blocks=[*_blocks(evaluation, RELEVANCE)],
        )


def _geometry_section(evaluation: Evaluation) -> Iterator[Section]:
    scores = [score for score in evaluation.scores if score.task == GEOMETRY]
    if scores:
        yield Section(
            title="How the vectors lie",
            paragraphs=[
                "Alignment is the mean squared distance of a document's halves, uniformity the log "
                "of how close vectors of different documents are on the whole; of both, lower is "
                "better, and one can be had at the other's cost. Effective rank says over how many "
                "directions the vectors spread."
            ],
            blocks=[score_table(scores)],
        )


def _systems_section(evaluation: Evaluation) -> Section:
    present = {score.system for score in evaluation.scores}
    rows = [[system_label(name), says] for name, says in _about(evaluation) if name in present]
    rows += [
        [
            system_label(name),
            "a sentence-transformers model that evaluate.sentence_transformers names",
        ]
        for name in sorted(present)
        if name.startswith("st_")
    ]
    return Section(
        title="What is compared",
        blocks=[
            Table(
                says="Every system turns a text into one vector.",
                columns=["system", "what it is"],
                rows=rows,
                num_label_columns=2,
                wraps=True,
            )
        ],
    )


def _about(evaluation: Evaluation) -> list[tuple[str, str]]:
    config, train = evaluation.asked.config, evaluation.train
    sample = (
        f"all {train.num_available:,} training documents"
        if train.is_whole
        else f"a seeded sample of {len(train.documents):,} of {train.num_available:,} training "
        "documents (evaluate.max_train_documents, evaluate.max_train_mb)"
    )
    return [
        (EMBEDDER, "the tuned encoder as exported; with fewer dimensions: the first numbers of the "
         "same vectors, normalised again"),
        ("bag", "the embedder's own token embeddings and weights, without its layers: what is "
         "above it is owed to context"),
        ("pretrained", "the pretrained encoder with the same tokenizer, all tokens alike"),
        ("untrained", "the same architecture, never trained: what tokens alone give"),
        ("tfidf", f"rare words weighted up, fitted on {sample}"),
        ("bm25", "rare words weighted up, repeated ones down, texts of any length alike"),
        ("lsa", f"TF-IDF narrowed to {config.lsa_dim} dimensions by singular vectors"),
        ("word2vec", f"skip-gram, {config.word2vec_dim} dimensions, {config.word2vec_epochs} "
         "passes over the same documents"),
        ("sif", "the same word vectors, frequent words weighted down, their common direction "
         "taken out"),
        ("doc2vec", f"paragraph vectors, {config.doc2vec_dim} dimensions, "
         f"{config.doc2vec_epochs} passes"),
    ]  # fmt: skip


def _blocks(evaluation: Evaluation, task: str) -> Iterator[Figure | Table]:
    """Of whole systems; the embedder's other layers have a section of their own."""
    scores = [each for each in evaluation.scores if not is_layer(each.system)]
    differences = [each for each in evaluation.differences if not is_layer(each.baseline)]
    return task_blocks(scores, differences, task, evaluation.smallest)


def _seed(evaluation: Evaluation) -> int:
    return evaluation.asked.config.seed
