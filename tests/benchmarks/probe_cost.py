"""Measures what the probe's measures without labels cost beside plain encoding of the sample.

    python -m tests.benchmarks.probe_cost --workspace WORKSPACE --rounds 5 --json cost.json
    python -m tests.benchmarks.probe_cost --workspace WORKSPACE --texts novels.jsonl.gz \\
        --documents 800

The sample is what the probe would draw with its default settings, or is drawn from --texts. In
each round come, one after another: encoding of the sample, the pass that keeps the states of all
layers with every measure of layers and its intervals, and what attention heads need beyond that.
Told are medians over the rounds; processor seconds count, wall seconds stand beside.
"""

import argparse
import gzip
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer

from model.encoder import Encoder
from model.huggingface import load_masked_lm
from tasks.embedder import load_tokenizer
from tasks.probe.config import ProbeConfig
from tasks.probe.heads import head_rows
from tasks.probe.layers import LAYER_MEASURES, Layers, Measured, layers_of
from tasks.probe.observe import TOKENS_PER_BATCH, Observed, batches, observe_sample
from tasks.probe.sample import Sample, Tokens, draw_sample
from tasks.probe.vocabulary import Vocabulary, read_vocabulary
from tasks.store.manifest import read_manifest
from tasks.tokens import TokenizedCorpus
from tests.benchmarks.children import absolute
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.newest import newest_artifact

ENCODING = "plain encoding"
PASS = "pass that keeps all layers' states"
HEADS = "attention measures of heads"
Result = TypeVar("Result")


@dataclass
class Clock:
    """Processor and wall seconds of named parts, one of each a round."""

    cpu_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def time(self, name: str, work: Callable[[], Result]) -> Result:
        """Does the work and notes what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.cpu_s[name].append(time.process_time() - cpu)
        self.wall_s[name].append(time.perf_counter() - wall)
        return result

    def medians(self) -> dict[str, tuple[float, float]]:
        """Processor and wall seconds of each part."""
        return {
            name: (statistics.median(cpu), statistics.median(self.wall_s[name]))
            for name, cpu in self.cpu_s.items()
        }


def main() -> None:
    """Measure, then print a line a part; all numbers with --json."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    encoder_path = arguments.encoder or newest_artifact(arguments.workspace, "pretrain")
    encoder = load_masked_lm(encoder_path).eval().model
    tokenizer = load_tokenizer(encoder_path / "tokenizer.json")
    vocabulary = read_vocabulary(tokenizer, encoder.config.vocab_size)
    if arguments.texts:
        splits: list[Sequence[Tokens]] = [
            list(pieces(arguments.texts, tokenizer, arguments.tokens))
        ]
    else:
        splits = held_out(encoder_path, arguments.workspace)
    sample = draw_sample(
        splits,
        num_documents=arguments.documents,
        max_tokens_per_document=arguments.tokens,
        seed=0,
    )
    clock = Clock()
    measure_round(encoder, sample, vocabulary, Clock())  # warms up
    for _ in range(arguments.rounds):
        measure_round(encoder, sample, vocabulary, clock)
    medians = clock.medians()
    title = f"{machine()}; {arguments.threads} threads; {len(sample.documents)} documents, "
    title += f"{sample.num_tokens:,} tokens; medians of {arguments.rounds} rounds"
    sys.stdout.write("\n".join([title, *table(medians)]) + "\n")
    if arguments.json:
        report = {"title": title, "cpu_s": clock.cpu_s, "wall_s": clock.wall_s}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = ProbeConfig()
    parser.add_argument("--workspace", type=absolute, required=True)
    parser.add_argument("--encoder", type=absolute, help="artifact of pretrain, not the newest")
    parser.add_argument("--texts", type=absolute, help="JSON lines, cut into documents")
    parser.add_argument("--documents", type=int, default=defaults.num_documents)
    parser.add_argument("--tokens", type=int, default=defaults.max_tokens_per_document)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    return parser.parse_args()


def held_out(encoder_path: Path, workspace: Path) -> list[Sequence[Tokens]]:
    """Validation and test of the tokens that the encoder was trained on."""
    tokens_id = read_manifest(encoder_path).inputs["tokenize"].input_id
    tokens = TokenizedCorpus(workspace / "artifacts" / "tokenize" / tokens_id)
    return [tokens.documents("validation"), tokens.documents("test")]


def pieces(path: Path, tokenizer: Tokenizer, num_tokens: int) -> Iterator[Tokens]:
    """The texts of JSON lines, cut into documents of so many tokens; what is left over goes."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            ids = tokenizer.encode(json.loads(line)["text"], add_special_tokens=False).ids
            whole = np.array(ids[: len(ids) // num_tokens * num_tokens], dtype=np.int64)
            yield from whole.reshape(-1, num_tokens)


def measure_round(encoder: Encoder, sample: Sample, vocabulary: Vocabulary, clock: Clock) -> None:
    """Encoding, then everything that is said of layers, then what heads need beyond."""
    clock.time(ENCODING, lambda: encode(encoder, sample))
    observed = clock.time(PASS, lambda: observe_sample(encoder, sample, attention=False))
    layers = layers_of(observed, sample, ends_sentence_V=vocabulary.ends_sentence_V)
    for name, measure in LAYER_MEASURES.items():
        clock.time(name, partial(rows_of, measure, layers))
    del observed, layers
    clock.time(HEADS, lambda: heads_of(encoder, sample))


@torch.inference_mode()
def rows_of(measure: Callable[[Layers], Iterator[Measured]], layers: Layers) -> list[Measured]:
    """Everything that a measure says."""
    return list(measure(layers))


@torch.inference_mode()
def encode(encoder: Encoder, sample: Sample) -> None:
    """Passes over the batches of the probe; what comes out is not kept."""
    for batch, _ in batches(encoder, sample.documents, TOKENS_PER_BATCH):
        encoder(batch)


def heads_of(encoder: Encoder, sample: Sample) -> None:
    """The same pass with attention, and the rows of every head."""
    observed: Observed = observe_sample(encoder, sample)
    head_rows(observed, sample)


def table(medians: Mapping[str, tuple[float, float]]) -> list[str]:
    """A line a part, with its share of encoding; what heads cost is told less the pass itself.

    The ratio is that of the pass with all measures of layers, without heads.
    """
    encoding_cpu, encoding_wall = medians[ENCODING]
    layers = {name: each for name, each in medians.items() if name not in (ENCODING, HEADS)}
    total_cpu, total_wall = (sum(each) for each in zip(*layers.values(), strict=True))
    heads_cpu, heads_wall = (medians[HEADS][place] - medians[PASS][place] for place in (0, 1))
    rows = [
        (ENCODING, encoding_cpu, encoding_wall),
        *((name, *each) for name, each in layers.items()),
        ("pass and all measures of layers", total_cpu, total_wall),
        (f"{HEADS}, beyond the pass", heads_cpu, heads_wall),
    ]
    lines = [f"{'':44}{'CPU s':>8}{'wall s':>8}{'/ encoding':>12}"]
    lines += [
        f"{name:44}{cpu:8.3f}{wall:8.3f}{cpu / encoding_cpu:12.3f}" for name, cpu, wall in rows
    ]
    return lines


if __name__ == "__main__":
    main()
