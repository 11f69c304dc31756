"""Says where the tokens and the vocabulary of the pretraining benchmarks lie."""

import argparse
from pathlib import Path

from tasks.store.manifest import MANIFEST_NAME, read_manifest
from tests.benchmarks.children import absolute


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Arguments that say where the corpus lies."""
    parser.add_argument("--workspace", type=absolute, help="its newest tokens are used")
    parser.add_argument("--tokens", type=absolute, help="artifact of tokenize, instead")
    parser.add_argument("--vocab", type=absolute, help="artifact of vocab that it was made with")
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")


def find_inputs(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fills in tokens and vocab where only the workspace was named."""
    if arguments.workspace and not arguments.tokens:
        arguments.tokens = newest_tokens(arguments.workspace)
    if arguments.workspace and not arguments.vocab:
        vocab_id = read_manifest(arguments.tokens).inputs["vocab"].input_id
        arguments.vocab = arguments.workspace / "artifacts" / "vocab" / vocab_id
    if not arguments.tokens or not arguments.vocab:
        parser.error("give --workspace, or --tokens and --vocab")


def newest_tokens(workspace: Path) -> Path:
    """The tokenize artifact of a workspace that was finished last.

    Raises:
        SystemExit: there is none.
    """
    found = sorted(
        (workspace / "artifacts" / "tokenize").glob(f"*/{MANIFEST_NAME}"),
        key=lambda path: path.stat().st_mtime,
    )
    if not found:
        raise SystemExit(f"{workspace} has no artifact of tokenize: run it first")
    return found[-1].parent
