"""Everything the probe stage measures of one encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from model.config import EncoderConfig
from model.encoder import Encoder
from model.initialization import initialize
from tasks.probe.comparison import Comparison, compare
from tasks.probe.config import ProbeConfig
from tasks.probe.examples import TASKS, Examples
from tasks.probe.heads import head_rows
from tasks.probe.layers import layer_rows
from tasks.probe.observe import observe_sample
from tasks.probe.probing import (
    Answers,
    accuracy_rows,
    answer,
    can_probe,
    draw_examples,
    features_of,
)
from tasks.probe.sample import Sample, Tokens, draw_sample
from tasks.probe.table import Row
from tasks.stage import Reporter

Documents = Mapping[str, Sequence[Tokens]]
Split = str
SYSTEMS = ("", "random_", "control_")


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
    """

    layers: list[Row]
    heads: list[Row]
    comparisons: list[Comparison]
    examples: dict[str, dict[Split, Examples]]
    omitted: list[str]
    sample: Sample
    encoder: EncoderConfig
    seeds: list[int]


def probe_encoder(
    encoder: Encoder, documents: Documents, config: ProbeConfig, report: Reporter
) -> Findings:
    """Measure an encoder on tokenized documents by split.

    Raises:
        CorpusError: validation and test hold fewer than two documents with text.
    """
    seeds = list(range(config.seed, config.seed + config.num_seeds))
    progress = _Progress(report, total=2 + 2 * len(TASKS) * len(seeds))
    sample = draw_sample(
        [documents["validation"], documents["test"]],
        num_documents=config.num_documents,
        max_tokens_per_document=config.max_tokens_per_document,
        seed=config.seed,
    )
    layers, heads = _unlabelled_rows(encoder, sample, seeds[0], progress)
    examples, omitted = _drawable_tasks(documents, config, seeds)
    for task in omitted:
        report.warning(f"the corpus is too small for the probe {task}; the report leaves it out")
    layers += _probe_rows(encoder, examples, seeds, progress)
    return Findings(
        layers=layers,
        heads=heads,
        comparisons=[compare(layers, task) for task in examples],
        examples={task: by_seed[seeds[0]] for task, by_seed in examples.items()},
        omitted=omitted,
        sample=sample,
        encoder=encoder.config,
        seeds=seeds,
    )


class _Progress:
    """Counts passes through an encoder."""

    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def step(self) -> None:
        self._done += 1
        self._report.progress(self._done, self._total, "passes")


def _unlabelled_rows(
    encoder: Encoder, sample: Sample, seed: int, progress: _Progress
) -> tuple[list[Row], list[Row]]:
    """Layer and head rows of the encoder and of one with random weights, from one pass each."""
    layers: list[Row] = []
    heads: list[Row] = []
    systems = [("", None, encoder), ("random_", seed, _random_like(encoder, seed))]
    for prefix, row_seed, system in systems:
        observed = observe_sample(system, sample)
        layers += layer_rows(observed, sample, prefix=prefix, seed=row_seed)
        heads += head_rows(observed, sample, prefix=prefix, seed=row_seed)
        progress.step()
    return layers, heads


TaskExamples = dict[str, dict[int, dict[Split, Examples]]]


def _drawable_tasks(
    documents: Documents, config: ProbeConfig, seeds: Sequence[int]
) -> tuple[TaskExamples, list[str]]:
    """Examples by task, seed and split; and the tasks that the corpus is too small for."""
    drawn: TaskExamples = {}
    omitted = []
    for number, (task, draw) in enumerate(TASKS.items()):
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
    encoder: Encoder, examples: TaskExamples, seeds: Sequence[int], progress: _Progress
) -> list[Row]:
    answers: dict[str, dict[int, dict[Split, Answers]]] = {
        f"{system}{task}_accuracy": {} for task in examples for system in SYSTEMS
    }
    for seed in seeds:
        random = _random_like(encoder, seed)
        for task, by_seed in examples.items():
            drawn = by_seed[seed]
            features = features_of(encoder, drawn)
            answers[f"{task}_accuracy"][seed] = answer(features, drawn)
            control = answer(features, drawn, shuffle_seed=seed)
            answers[f"control_{task}_accuracy"][seed] = control
            progress.step()
            answers[f"random_{task}_accuracy"][seed] = answer(features_of(random, drawn), drawn)
            progress.step()
    return [row for measure, by_seed in answers.items() for row in accuracy_rows(measure, by_seed)]


def _random_like(encoder: Encoder, seed: int) -> Encoder:
    """An encoder of the same architecture with the weights training starts from."""
    random = Encoder(encoder.config, attention=encoder.attention)
    initialize(random, encoder.config, seed)
    device = next(encoder.parameters()).device
    return random.to(device=device, dtype=torch.float32).eval()
