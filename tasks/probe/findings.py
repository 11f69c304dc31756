"""Everything the probe stage measures of one encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from model.bert import Bert
from model.config import Sizes
from model.encoder import Encoder
from model.initialization import initialize
from tasks.probe.comparison import Comparison, compare
from tasks.probe.config import ProbeConfig
from tasks.probe.examples import Examples
from tasks.probe.guessing import Guessing
from tasks.probe.heads import head_rows
from tasks.probe.label_probes import LabelProbes
from tasks.probe.labelled_documents import LeftOut
from tasks.probe.layers import layer_rows
from tasks.probe.observe import Observed, observe_sample
from tasks.probe.probing import (
    Answers,
    accuracy_rows,
    answer,
    can_probe,
    draw_examples,
    features_of,
)
from tasks.probe.sample import Sample, Tokens, draw_sample
from tasks.probe.self_labelled import TASKS
from tasks.probe.static_vectors import StaticEncoder, observe_static, train_static_encoder
from tasks.probe.subject import AnyEncoder
from tasks.probe.table import Row
from tasks.probe.treebank.grammar import Grammar
from tasks.probe.treebank.reading import Treebank
from tasks.probe.vocabulary import Vocabulary
from tasks.stage import Reporter

Documents = Mapping[str, Sequence[Tokens]]
Split = str
SYSTEMS = ("", "random_", "control_", "word2vec_")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured, on what.

    Attributes:
        layers: rows of `layers.parquet`.
        heads: rows of `heads.parquet`.
        comparisons: one for each self-labelled task that the corpus could supply.
        examples: the first seed's examples of these tasks, by split.
        omitted: tasks that the corpus is too small for.
        sample: the documents behind the measures without labels.
        encoder: the encoder's sizes.
        seeds: the seeds of the probes; the first is also that of the random-weights measures.
        observed: the encoder's states on the sample.
        static: Word2Vec of the same tokens and width.
        treebank: the sentences of the user's treebank, where there is one.
        guessing: what the model's head showed, where it has one.
        grammar: what probes on the treebank showed.
        labels: what probes on the documents' labels showed, or why there are none; None where the
            corpus has no label column.
        notes: what there is to say of an encoder that was not trained here; None: it was.
    """

    layers: list[Row]
    heads: list[Row]
    comparisons: list[Comparison]
    examples: dict[str, dict[Split, Examples]]
    omitted: list[str]
    sample: Sample
    encoder: Sizes
    seeds: list[int]
    observed: Observed
    static: StaticEncoder
    treebank: Treebank | None = None
    guessing: Guessing | None = None
    grammar: Grammar | None = None
    labels: LabelProbes | LeftOut | None = None
    notes: tuple[str, ...] | None = None

    def with_grammar(self, grammar: Grammar) -> "Findings":
        """These and what probes on the treebank showed."""
        return replace(
            self,
            layers=[*self.layers, *grammar.layers],
            heads=[*self.heads, *grammar.heads],
            grammar=grammar,
        )

    def with_labels(self, labels: LabelProbes | LeftOut | None) -> "Findings":
        """These and what probes on the documents' labels showed."""
        rows = labels.layers if isinstance(labels, LabelProbes) else []
        return replace(self, layers=[*self.layers, *rows], labels=labels)

    def with_guessing(self, guessing: Guessing) -> "Findings":
        """These and what the head showed."""
        return replace(
            self,
            layers=[*self.layers, *guessing.layers],
            heads=[*self.heads, *guessing.ablation.rows],
            guessing=guessing,
        )


def probe_encoder(
    encoder: AnyEncoder,
    documents: Documents,
    vocabulary: Vocabulary,
    config: ProbeConfig,
    report: Reporter,
    *,
    treebank: Treebank | None = None,
) -> Findings:
    """Measure an encoder on tokenized documents by split.

    Args:
        encoder: in evaluation mode.
        documents: token ids without special tokens, of train, validation and test.
        vocabulary: what these tokens are.
        config: the settings.
        report: is told how far it is and what had to be left out.
        treebank: what the findings say was read.

    Raises:
        CorpusError: validation and test hold fewer than two documents with text, or no token of
            train occurs twice.
    """
    seeds = list(range(config.seed, config.seed + config.num_seeds))
    sample = draw_sample(
        [documents["validation"], documents["test"]],
        num_documents=config.num_documents,
        max_tokens_per_document=config.max_tokens_per_document,
        seed=config.seed,
    )
    examples, omitted = _drawable_tasks(documents, vocabulary, config, seeds)
    progress = _Progress(report, total=3 + 3 * len(examples) * len(seeds))
    static = train_static_encoder(
        documents["train"], encoder.config, seed=config.seed, num_tokens=config.word2vec_tokens
    ).to(next(encoder.parameters()).device)
    observed = observe_sample(encoder, sample)
    layers, heads = _unlabelled_rows(
        encoder, observed, static, sample, vocabulary, seeds[0], progress
    )
    for task in omitted:
        report.warning(f"the corpus is too small for the probe {task}; the report leaves it out")
    layers += _probe_rows(encoder, static, examples, seeds, progress)
    return Findings(
        layers=layers,
        heads=heads,
        comparisons=[
            compare(layers, task, by_seed[seeds[0]]["test"].chance)
            for task, by_seed in examples.items()
        ],
        examples={task: by_seed[seeds[0]] for task, by_seed in examples.items()},
        omitted=omitted,
        sample=sample,
        encoder=encoder.config,
        seeds=seeds,
        observed=observed,
        static=static,
        treebank=treebank,
    )


class _Progress:
    """Counts passes through an encoder."""

    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def step(self) -> None:
        self._done += 1
        self._report.progress(self._done, self._total, "passes")


def _unlabelled_rows(
    encoder: AnyEncoder,
    observed: Observed,
    static: StaticEncoder,
    sample: Sample,
    vocabulary: Vocabulary,
    seed: int,
    progress: _Progress,
) -> tuple[list[Row], list[Row]]:
    """Layer and head rows of the encoder, of one with random weights, and of static vectors."""
    rows = partial(layer_rows, sample=sample, ends_sentence_V=vocabulary.ends_sentence_V)
    layers = rows(observed)
    heads = head_rows(observed, sample)
    progress.step()
    random = observe_sample(random_like(encoder, seed), sample)
    layers += rows(random, prefix="random_", seed=seed)
    heads += head_rows(random, sample, prefix="random_", seed=seed)
    progress.step()
    layers += rows(observe_static(static, sample), prefix="word2vec_", seed=seed)
    progress.step()
    return layers, heads


TaskExamples = dict[str, dict[int, dict[Split, Examples]]]


def _drawable_tasks(
    documents: Documents, vocabulary: Vocabulary, config: ProbeConfig, seeds: Sequence[int]
) -> tuple[TaskExamples, list[str]]:
    """Examples by task, seed and split; and the tasks that the corpus is too small for."""
    drawn: TaskExamples = {}
    omitted = []
    for number, (task, plan) in enumerate(TASKS.items()):
        draw = plan(documents["train"], vocabulary)
        by_seed = {
            seed: draw_examples(
                draw,
                documents,
                num_examples=config.num_examples,
                window_tokens=config.window_tokens,
                seed=(seed, number),
            )
            for seed in seeds
        }
        if all(can_probe(examples) for examples in by_seed.values()):
            drawn[task] = by_seed
        else:
            omitted.append(task)
    return drawn, omitted


def _probe_rows(
    encoder: AnyEncoder,
    static: StaticEncoder,
    examples: TaskExamples,
    seeds: Sequence[int],
    progress: _Progress,
) -> list[Row]:
    answers: dict[str, dict[int, dict[Split, Answers]]] = {
        f"{system}{task}_accuracy": {} for task in examples for system in SYSTEMS
    }
    for seed in seeds:
        random = random_like(encoder, seed)
        for task, by_seed in examples.items():
            drawn = by_seed[seed]
            features = features_of(encoder, drawn)
            answers[f"{task}_accuracy"][seed] = answer(features, drawn)
            control = answer(features, drawn, shuffle_seed=seed)
            answers[f"control_{task}_accuracy"][seed] = control
            progress.step()
            answers[f"random_{task}_accuracy"][seed] = answer(features_of(random, drawn), drawn)
            progress.step()
            answers[f"word2vec_{task}_accuracy"][seed] = answer(features_of(static, drawn), drawn)
            progress.step()
    return [row for measure, by_seed in answers.items() for row in accuracy_rows(measure, by_seed)]


def random_like(encoder: AnyEncoder, seed: int) -> AnyEncoder:
    """An encoder of the same architecture with fresh weights."""
    random: AnyEncoder
    if isinstance(encoder, Bert):
        random = Bert(encoder.config)
    else:
        random = Encoder(encoder.config, attention=encoder.attention)
    initialize(random, encoder.config, seed)
    device = next(encoder.parameters()).device
    return random.to(device=device, dtype=torch.float32).eval()
