"""Measures what each part of the embedder's recipe is worth, by leaving it out, over seeds.

    python -m tests.benchmarks.tune_ablations --workspace WORKSPACE --seeds 0 1 2 --runs runs \\
        --json ablations.json max_steps=110

Corpus, tokens and pretrained encoder are those of the workspace's newest embedder; settings of the
stage are given as KEY=VALUE, else they are that embedder's. Every variant is tuned anew by the
stage's own code, and asked to find the other half of each test document, as `evaluate` asks.
Runs are kept in the folder --runs and not repeated, so a comparison may take several sittings.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model.embedding import normalized
from model.huggingface import save_encoder
from model.retrieval import hits_at, matching_ranks, similarity_blocks
from tasks.corpus import Corpus
from tasks.embedder import Embedder, cut
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.encoders import BagOfTokens, untrained_encoder
from tasks.evaluate.half_document import HalfDocuments, half_documents, hard_half_documents
from tasks.evaluate.layers import LayeredEmbedder
from tasks.evaluate.scores import HARD_HALF_DOCUMENT
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from, artifact_path
from tasks.store.manifest import read_manifest
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, system_label
from tasks.tune.config import TuneConfig
from tasks.tune.stage import TUNE
from tests.benchmarks.children import absolute
from tests.benchmarks.ingest_ours import SilentReporter, parse_setting
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.newest import newest_artifact
from tests.benchmarks.pretrain_speed import merged

RECIPE = "recipe"
UNTRAINED = "without pretraining"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    RECIPE: {},
    "pretrained token vectors": {"token_vectors": "pretrained"},
    "no bag first": {"bag_steps": 0},
    "no tokens dropped": {"token_dropout": 0.0},
    "all of the layers": {"branch_scale": 1.0},
    "none of the layers": {"branch_scale": 0.0},
    "small batches": {"documents_per_batch": 32},
    UNTRAINED: {},
}
_PARTS = 2  # raised when `parts_of` gives other rows, so that no run of before is taken for one

Recalls = dict[str, dict[str, float]]  # row -> task -> recall at 1


@dataclass(frozen=True)
class Chain:
    """What a tuning run reads, and what its embedder is asked.

    Attributes:
        inputs: artifacts by stage.
        settings: those that the workspace's embedder was tuned with.
        asked: halves of the test documents, whole and without their rare shared words.
    """

    inputs: Mapping[str, Artifact]
    settings: Mapping[str, Any]
    asked: tuple[HalfDocuments, HalfDocuments]


def main() -> None:
    """Do the runs that are not there, then print the table; all figures with --json."""
    arguments = parse_arguments()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    chain = find_chain(arguments.workspace)
    found: dict[str, list[Recalls]] = {
        variant: [kept(chain, variant, seed, arguments) for seed in arguments.seeds]
        for variant in arguments.variants
    }
    tell(chain, arguments, table(found), found)


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = tuning_parser(str(__doc__))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--runs", type=absolute, required=True, help="a folder for the figures")
    arguments = parser.parse_args()
    arguments.settings = merged(arguments.settings)
    return arguments


def tuning_parser(description: str) -> argparse.ArgumentParser:
    """What every benchmark that tunes over seeds is told."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of stage tune")
    parser.add_argument("--workspace", type=absolute, required=True, help="has an embedder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    return parser


def tell(
    chain: Chain, arguments: argparse.Namespace, lines: Iterable[str], found: Mapping[str, Any]
) -> None:
    """Print a table under what it was measured on; all figures into the file that was named."""
    title = f"{machine()}; {chain.asked[0].num_queries} test documents; " + " ".join(
        [f"seeds {arguments.seeds}", *arguments.settings]
    )
    sys.stdout.write("\n".join([title, *lines]) + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def find_chain(workspace: Path) -> Chain:
    """What the newest embedder of a workspace was made from.

    Raises:
        SystemExit: the workspace has none.
    """
    manifest = read_manifest(newest_artifact(workspace, "tune"))
    folders = {
        stage: workspace / artifact_path(stage, entry.input_id)
        for stage, entry in manifest.inputs.items()
    }
    inputs = {stage: artifact_from(path, read_manifest(path)) for stage, path in folders.items()}
    corpus, config = Corpus(inputs["ingest"].path), EvaluateConfig()
    halves = half_documents(corpus, config)
    hard = hard_half_documents(corpus, halves, config)
    return Chain(inputs, manifest.identity.settings, (halves, hard))


def kept(chain: Chain, variant: str, seed: int, arguments: argparse.Namespace) -> Recalls:
    """What one run found; done only where the folder of runs does not have it."""
    config = tune_config(chain, variant, seed, arguments)
    inputs = {stage: artifact.ref.content_id for stage, artifact in chain.inputs.items()}
    parts: list[object] = [_PARTS] if variant == RECIPE else []
    parts += [config.device] if config.device != "cpu" else []
    asked = json.dumps([config.identity(), inputs, TUNE.version, *parts], sort_keys=True)
    name = f"{variant.replace(' ', '-')}-{seed}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
    path = arguments.runs / f"tune-{name}.json"
    if path.exists():
        recalls: Recalls = json.loads(path.read_text("utf-8"))
        return recalls
    sys.stderr.write(f"running {name}\n")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        recalls = run(chain, variant, config, Path(folder))
    recalls["seconds"] = {"of the run": time.monotonic() - started}
    path.write_text(json.dumps(recalls) + "\n", "utf-8")
    return recalls


def tune_config(chain: Chain, variant: str, seed: int, arguments: argparse.Namespace) -> TuneConfig:
    """The embedder's settings, those given, then those of the variant."""
    known = {name: chain.settings[name] for name in TuneConfig.model_fields.keys() & chain.settings}
    given = dict(map(parse_setting, arguments.settings))
    return TuneConfig.model_validate(
        known | given | VARIANTS[variant] | {"seed": seed, "device": arguments.device}
    )


def run(chain: Chain, variant: str, config: TuneConfig, folder: Path) -> Recalls:
    """Tune one variant and ask for the other halves.

    Returns:
        The recall of the variant at each width; of the recipe also of its tokens without layers,
        of all tokens weighing alike, of each layer before the last, and of the layers' mean.
    """
    inputs = dict(chain.inputs)
    if variant == UNTRAINED:
        inputs["pretrain"] = replace(inputs["pretrain"], path=untrained(chain, config.seed, folder))
    output = folder / "embedder"
    output.mkdir()
    TUNE.run(StageContext(config, inputs, output, SilentReporter()))
    embedder = Embedder.load(output, config.device)
    summary = json.loads((output / "training.json").read_text("utf-8"))
    recalls = {
        f"{variant}, {dim}" if dim < embedder.about.dim else variant: {
            halves.task: recall(embedder, halves, dim) for halves in chain.asked
        }
        for dim in (embedder.about.dims if variant == RECIPE else [embedder.about.dim])
    }
    if variant == RECIPE:
        recalls |= parts_of(embedder, chain)
    recalls[variant]["best_step"] = summary["best_step"]
    return recalls


def untrained(chain: Chain, seed: int, folder: Path) -> Path:
    """A copy of the pretrained encoder's folder whose weights are fresh."""
    pretrained = chain.inputs["pretrain"].path
    fresh = folder / "untrained"
    fresh.mkdir()
    save_encoder(untrained_encoder(pretrained, seed), fresh)
    for path in pretrained.glob("*token*.json"):
        (fresh / path.name).write_bytes(path.read_bytes())
    return fresh


def parts_of(embedder: Embedder, chain: Chain) -> Recalls:
    """The embedder without its layers, without its weights, and read off other layers."""
    bag = BagOfTokens(embedder)
    plain = Embedder(embedder.encoder, embedder.tokenizer, embedder.about)
    rows: Recalls = {"bag of its tokens": {}, "weights left out": {}}
    for halves in chain.asked:
        first, second = bag.vectors(halves.first_halves), bag.vectors(halves.second_halves)
        rows["bag of its tokens"][halves.task] = found(first, second)
        rows["weights left out"][halves.task] = recall(plain, halves, embedder.about.dim)
        for row, value in layer_recalls(embedder, halves).items():
            rows.setdefault(row, {})[halves.task] = value
    return rows


def recall(embedder: Embedder, halves: HalfDocuments, dim: int) -> float:
    """At 1, of vectors cut to a width."""
    first, second = (
        cut(embedder.encode_texts(texts), dim)
        for texts in (halves.first_halves, halves.second_halves)
    )
    return found(first, second)


def layer_recalls(embedder: Embedder, halves: HalfDocuments) -> dict[str, float]:
    """At 1, of encoders cut after each layer before the last, and of all layers' mean.

    The mean is that of the unit vectors of layers 0 to the last, each under the final norm.
    """
    layered = LayeredEmbedder(
        name=EMBEDDER, embedder=embedder, report=SilentReporter(), whole=embedder.encoder
    )
    own, *others = layered.pairs_by_layer(halves.first_halves, halves.second_halves)
    rows = {system_label(pair.system): found(pair.queries, pair.candidates) for pair in others}
    first_ND = sum((pair.queries for pair in others), start=own.queries)
    second_ND = sum((pair.candidates for pair in others), start=own.candidates)
    return rows | {"mean of all layers": found(normalized(first_ND), normalized(second_ND))}


def found(first_ND: Any, second_ND: Any) -> float:
    """The share of first rows whose own second row is nearest."""
    ranks_N = matching_ranks(similarity_blocks(first_ND, second_ND))
    return float(hits_at(ranks_N, 1).mean())


def table(found: Mapping[str, Sequence[Recalls]]) -> list[str]:
    """A line a row, in Markdown: medians over the seeds, and between which the seeds lie."""
    lines = ["| | recall@1 | between seeds | hard | between seeds |", "|---|---|---|---|---|"]
    for runs in found.values():
        for row in (name for name in runs[0] if name != "seconds"):
            cells = []
            for task in (HALF_DOCUMENT, HARD_HALF_DOCUMENT):
                values = [run[row][task] for run in runs]
                cells.append(f"{statistics.median(values):.3f}")
                cells.append(f"{min(values):.3f} to {max(values):.3f}")
            lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
