"""Measures how fast documents are embedded, beside `SentenceTransformer.encode` at its defaults.

    python -m tests.benchmarks.export_speed --texts bbc.jsonl.gz --num-documents 300 --rounds 5
    python -m tests.benchmarks.export_speed --texts bbc.jsonl.gz --embedder TUNE_ARTIFACT

All systems have the same weights, threads and texts, and take turns in every round; ratios are of
medians. The peer cuts long documents off, so for each system only tokens that it really embeds
count. Without --embedder an untrained one is made: speed does not depend on what it learned.
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.embedder import Embedder
from tests.benchmarks.export_embedder import write_untrained
from tests.benchmarks.export_systems import PEER, PEER_BF16, System, open_systems
from tests.benchmarks.ingest_speed import machine


def main() -> None:
    """Run all rounds, then print the table, and all numbers with --json."""
    arguments = parse_arguments()
    texts = read_texts(arguments.texts, arguments.num_documents)
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="export-speed-") as name:
        folder = arguments.embedder or Path(name) / "embedder"
        if not arguments.embedder:
            write_untrained(folder, texts, size=arguments.size)
        systems = open_systems(
            folder, texts, device=arguments.device, tokens_per_batch=arguments.tokens_per_batch
        )
        run_rounds(systems, arguments.rounds)
        is_whole_T = fits_one_window(Embedder.load(folder), texts)
    lines = [f"{machine()}, {arguments.threads} threads, {arguments.rounds} rounds"]
    lines += [f"{len(texts)} documents, {int(is_whole_T.sum())} of them in one window"]
    sys.stdout.write("\n".join([*lines, *table(systems, is_whole_T)]) + "\n")
    if arguments.json:
        found = {"machine": machine(), "rows": as_json(systems, is_whole_T)}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=Path, required=True, help="JSONL, maybe gzip, with text")
    parser.add_argument("--num-documents", type=int, help="evenly drawn from the file; default all")
    parser.add_argument("--embedder", type=Path, help="folder of a tune artifact")
    parser.add_argument("--size", default="small", help="of the untrained embedder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tokens-per-batch", type=int, default=2048, help="ours only")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    return parser.parse_args()


def read_texts(path: Path, num_documents: int | None) -> list[str]:
    """The texts of a file of JSON lines, or so many of them evenly drawn."""
    texts = list(_texts(path))
    if num_documents is None or num_documents >= len(texts):
        return texts
    picked = np.linspace(0, len(texts) - 1, num_documents).round().astype(int)
    return [texts[index] for index in picked]


def run_rounds(systems: Sequence[System], num_rounds: int) -> None:
    """Let all systems take turns, after one round that does not count."""
    for system in systems:
        system.run_round()
        system.wall_s.clear()
        system.cpu_s.clear()
    for _ in range(num_rounds):
        for system in systems:
            system.run_round()


def fits_one_window(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    """Which documents the peer does not cut off."""
    lengths_T = np.array([len(ids) for ids in embedder.tokenize(texts)])
    return lengths_T <= embedder.about.max_window_tokens - 2


def table(systems: Sequence[System], is_whole_T: np.ndarray) -> list[str]:
    """The lines to print."""
    header = f"{'system':26}{'tokens':>9}{'wall s':>8}{'tok/s':>9}{'tok/CPU s':>11}"
    lines = [f"{header}{'/ default':>11}{'/ bf16':>9}{'CPU / default':>15}{'least cosine':>14}"]
    for row in as_json(systems, is_whole_T):
        lines.append(
            f"{row['system']:26}{row['num_tokens']:9}{row['median_wall_s']:8.2f}"
            f"{row['tokens_per_s']:9.0f}{row['tokens_per_cpu_s']:11.0f}"
            f"{row['ratio_to_default']:11.2f}{row['ratio_to_bf16']:9.2f}"
            f"{row['cpu_ratio_to_default']:15.2f}{row['least_cosine']:14.6f}"
        )
    return lines


def as_json(systems: Sequence[System], is_whole_T: np.ndarray) -> list[dict[str, Any]]:
    """All numbers; the least cosine is to the peer's fp32 vectors of documents it does not cut."""
    peers = {system.name: system for system in systems}
    exact_TD = peers[PEER].vectors_TD
    return [
        {
            "system": system.name,
            "num_tokens": system.num_tokens,
            "median_wall_s": float(np.median(system.wall_s)),
            "tokens_per_s": system.tokens_per_s,
            "tokens_per_cpu_s": system.tokens_per_cpu_s,
            "ratio_to_default": system.tokens_per_s / peers[PEER].tokens_per_s,
            "ratio_to_bf16": system.tokens_per_s / peers[PEER_BF16].tokens_per_s,
            "cpu_ratio_to_default": system.tokens_per_cpu_s / peers[PEER].tokens_per_cpu_s,
            "least_cosine": _least_cosine(system.vectors_TD, exact_TD, is_whole_T),
            "wall_s_by_round": system.wall_s,
            "cpu_s_by_round": system.cpu_s,
        }
        for system in systems
    ]


def _least_cosine(
    found_TD: np.ndarray | None, exact_TD: np.ndarray | None, is_whole_T: np.ndarray
) -> float:
    assert found_TD is not None
    assert exact_TD is not None
    norms_T = np.linalg.norm(found_TD, axis=1) * np.linalg.norm(exact_TD, axis=1)
    return float(((found_TD * exact_TD).sum(axis=1) / norms_T)[is_whole_T].min())


def _texts(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


if __name__ == "__main__":
    main()
