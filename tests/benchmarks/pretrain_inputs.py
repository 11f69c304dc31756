"""What the pretraining benchmarks are given: tokens, vocabulary, and settings of the systems."""

import argparse
import os

from tasks.store.manifest import read_manifest
from tests.benchmarks.children import absolute
from tests.benchmarks.newest import newest_artifact


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Arguments that say where the corpus lies."""
    parser.add_argument("--workspace", type=absolute, help="its newest tokens are used")
    parser.add_argument("--tokens", type=absolute, help="artifact of tokenize, instead")
    parser.add_argument("--vocab", type=absolute, help="artifact of vocab that it was made with")
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")


def add_systems(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how the systems are set up."""
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="of our stage pretrain, beside size=small"
    )
    parser.add_argument("--peer-python", type=absolute, help="an interpreter that has the peer")
    parser.add_argument(
        "--tuned",
        action="append",
        default=[],
        metavar="OPTION=VALUE[,OPTION=VALUE]",
        help="a further peer: the tuned one with options of pretrain_peer.py, without their dashes",
    )
    parser.add_argument(
        "--mask-frac", type=float, default=0.15, help="of the peers; pretrain_speed: of all"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each system")


def find_inputs(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Fills in tokens and vocab where only the workspace was named."""
    if arguments.workspace and not arguments.tokens:
        arguments.tokens = newest_artifact(arguments.workspace, "tokenize")
    if arguments.workspace and not arguments.vocab:
        vocab_id = read_manifest(arguments.tokens).inputs["vocab"].input_id
        arguments.vocab = arguments.workspace / "artifacts" / "vocab" / vocab_id
    if not arguments.tokens or not arguments.vocab:
        parser.error("give --workspace, or --tokens and --vocab")
