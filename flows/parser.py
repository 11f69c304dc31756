"""The commands and their options."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from flows.config import PipelineConfig, presets
from flows.graph import STAGE_NAMES
from flows.options import add_options, normalise, refuse_unknown
from model.errors import RequestError

DESCRIPTION = "Train an encoder on your own text, look inside it, and embed your documents."

STAGE_HELP = {
    "ingest": "read, clean, deduplicate and split documents",
    "vocab": "learn the vocabulary",
    "tokenize": "encode the corpus and plan the packing",
    "pretrain": "train the encoder by masked language modelling",
    "tune": "train document embeddings",
    "probe": "measure what each layer and each head knows",
    "evaluate": "score the embedder beside classic baselines",
    "export": "embed all documents into Parquet",
}


_BROKEN = re.compile("[\ud800-\udfff]")  # bytes that are no UTF-8 become such


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}: `{self.prog} --help` shows what can be said")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read a command line.

    Raises:
        RequestError: an unknown command or option, or a value missing.
    """
    options, unknown = build_parser().parse_known_args(normalise(arguments))
    refuse_unknown(unknown)
    _refuse_broken_text(options)
    return options


def _refuse_broken_text(options: argparse.Namespace) -> None:
    """Names of files may be any bytes; what is looked up in documents is text."""
    for name in ("words", "like", "where", "left", "right"):
        given = getattr(options, name, None) or ""
        for text in [given] if isinstance(given, str) else given:
            if _BROKEN.search(text):
                raise RequestError(f"{text!r} is no UTF-8 text: set the terminal to UTF-8")


def build_parser() -> argparse.ArgumentParser:
    """Every command with every option."""
    parser = _Parser(prog="corpusmith", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_chain_commands(commands)
    _add_release_commands(commands)
    _add_workspace_commands(commands)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_chain_commands(commands: "_Commands[_Parser]") -> None:
    run = _command(commands, "run", "run the whole chain and publish the embeddings")
    _add_chain_arguments(run)
    for stage in STAGE_NAMES:
        _add_chain_arguments(_command(commands, stage, STAGE_HELP[stage]))
    refresh = _command(
        commands,
        "refresh",
        "embed what is new with the released embedder and publish; say so where it has drifted",
    )
    _add_chain_arguments(refresh)
    plan = _command(commands, "plan", "show what a run would do, reuse and cost")
    _add_chain_arguments(plan)
    more = plan.add_mutually_exclusive_group()
    more.add_argument("--why", action="store_true", help="name what makes a stage run again")
    more.add_argument(
        "--forecast",
        action="store_true",
        help="run the chain on 1/8, 1/4 and 1/2 of the training text, and foretell from that how "
        "well the embedder and its baselines will do on all of it (takes up to three runs' time)",
    )


def _add_release_commands(commands: "_Commands[_Parser]") -> None:
    search = _command(commands, "search", "find documents by meaning in the released embeddings")
    search.add_argument("words", nargs="?", metavar="WORDS", help="what to look for")
    search.add_argument("--like", metavar="DOC_ID", help="look for what is like this document")
    search.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="'COLUMN OP VALUE'",
        help="only such documents, OP one of = != < <= > >= in; may be repeated, all must hold",
    )
    search.add_argument("-k", type=int, default=10, metavar="N", help="how many (default: 10)")
    explain = _command(commands, "explain", "show which words make two released documents alike")
    explain.add_argument("left", metavar="DOC", help="id of a document")
    explain.add_argument("right", metavar="DOC", help="id of another")
    explain.add_argument(
        "-k", type=int, default=10, metavar="N", help="words and pairs to show (default: 10)"
    )
    embed = _command(commands, "embed", "embed files with the released embedder")
    embed.add_argument("files", nargs="+", metavar="FILE", help="text files or corpora")
    embed.add_argument(
        "--output", metavar="FILE", help="the Parquet file to write; without it they are printed"
    )
    embed.add_argument(
        "--dim", type=int, metavar="N", help="cut vectors to N numbers (default: all of them)"
    )
    _add_release(commands)


def _add_release(commands: "_Commands[_Parser]") -> None:
    release = _command(commands, "release", "what is published, what was, and the way back")
    release.add_argument(
        "action",
        choices=["list", "compare", "rollback", "align"],
        help="list: every release and every switch; compare A B: two of them; rollback [ID]: make "
        "the one before, or ID, current again; align [NEW OLD]: rotate the vectors of NEW "
        "(default: the current one) into the space of OLD (default: the one before)",
    )
    release.add_argument("ids", nargs="*", type=int, metavar="ID", help="of releases")
    release.add_argument("--onto", type=int, metavar="ID", help="of align: the same as OLD")
    release.add_argument(
        "--output", metavar="DIR", help="of align: a folder to be made, for a copy of the result"
    )


def _add_workspace_commands(commands: "_Commands[_Parser]") -> None:
    _command(commands, "status", "runs, stages, release, embeddings and disk of a workspace")
    lineage = _command(commands, "lineage", "the chain from a file back to its sources")
    lineage.add_argument("path", metavar="PATH", help="an artifact or any file inside one")
    _command(commands, "verify", "check every file of every artifact against its hash")
    gc = _command(commands, "gc", "list, or delete, what nothing refers to")
    gc.add_argument("--yes", action="store_true", help="delete; without it nothing is touched")
    gc.add_argument("--older-than-days", type=float, default=7.0, metavar="DAYS", help="default: 7")
    gc.add_argument(
        "--keep-releases",
        type=int,
        default=3,
        metavar="N",
        help="the current release and the N newest keep what they need (default: 3)",
    )
    erase = _command(commands, "erase", "erase documents from all that the workspace holds")
    erase.add_argument(
        "doc_ids",
        nargs="*",
        metavar="DOC_ID",
        help="documents, as ledger.parquet names them; none: end an erasure that was interrupted",
    )
    erase.add_argument("--yes", action="store_true", help="erase; without it nothing is touched")
    erase.add_argument(
        "--with-duplicates", action="store_true", help="near duplicates too; exact ones always go"
    )
    erase.add_argument(
        "--reason", default="", metavar="TEXT", help="kept in the tombstone and the receipt"
    )
    _command(commands, "doctor", "check this machine, installation and servers")
    deploy = _command(
        commands, "deploy", "register work pools and deployments with the server at PREFECT_API_URL"
    )
    deploy.add_argument(
        "paths", nargs="*", metavar="PATH", help="what the pipelines read, as the workers see it"
    )
    deploy.add_argument(
        "--print-file",
        action="store_true",
        help="print where the file for `prefect deploy` lies, and do nothing",
    )
    ui = _command(commands, "ui", "open the MLflow and Prefect pages on loopback")
    ui.add_argument("--mlflow-port", type=int, default=5000, metavar="PORT", help="default: 5000")
    ui.add_argument("--prefect-port", type=int, default=4200, metavar="PORT", help="default: 4200")


def _command(commands: "_Commands[_Parser]", name: str, text: str) -> _Parser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "--workspace",
        default="./workspace",
        metavar="DIR",
        help="a folder, or s3://BUCKET/PREFIX (default: ./workspace)",
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


def _add_chain_arguments(command: _Parser) -> None:
    """The same for every command of the chain, so that one set of options serves them all."""
    command.usage = f"{command.prog} [PATH ...] [--config PRESET|FILE] [--SECTION.KEY VALUE ...]"
    command.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files, folders or globs; none: the documentation of Python's standard library",
    )
    command.add_argument(
        "--config",
        default="smoke",
        metavar="PRESET|FILE",
        help=f"one of {', '.join(presets())}, or a .toml file (default: smoke)",
    )
    add_options(command, list(PipelineConfig.model_fields))
