"""What each command does: an answer as plain data, and how a person sees it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import show, show_erase, show_refresh, show_release, show_status
from flows.config import load_config
from flows.graph import STAGE_NAMES
from flows.options import overrides
from tasks.store.store import Store
from tasks.store.workspace import Workspace

Answer = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A command: what it answers (JSON values), and how that is shown on a terminal."""

    answer: Callable[[argparse.Namespace], Answer]
    show: Callable[[Answer], None]


def command_of(name: str) -> Command:
    """The command of that name; the parser has let through only names that exist."""
    if name in STAGE_NAMES:
        return Command(run, show.run)
    return COMMANDS[name]


def run(options: argparse.Namespace) -> Answer:
    """``run`` and every stage."""
    from flows.launch import launch

    config = _config(options)
    until = None if options.command == "run" else options.command
    record = launch(config, options.workspace, until)
    if options.json or until:
        return record
    from flows.closing import closing

    workspace = Workspace.open_existing(options.workspace)
    return record | closing(workspace, record, builtin=not config.ingest.paths)


def refresh(options: argparse.Namespace) -> Answer:
    """``refresh``."""
    from flows.launch import launch_refresh

    return launch_refresh(_config(options), options.workspace)


def plan(options: argparse.Namespace) -> Answer:
    """``plan``; with ``--forecast`` it runs the chain on parts of the text."""
    if options.forecast:
        from flows.launch import launch_forecast

        return launch_forecast(_config(options), options.workspace)
    from flows.plan import plan_run

    return plan_run(_config(options), options.workspace, why=options.why)


def search(options: argparse.Namespace) -> Answer:
    """``search``.

    Raises:
        RequestError: both words and a document are given, or neither.
    """
    from flows.published import search_like, search_release
    from model.errors import RequestError

    if (options.words is None) == (options.like is None):
        raise RequestError("search: say either WORDS or --like DOC_ID")
    workspace = Workspace.open_existing(options.workspace)
    asked = {"query": options.words, "like": options.like, "where": options.where}
    if options.like is not None:
        hits = search_like(workspace, options.like, options.k, where=options.where)
    else:
        [hits] = search_release(workspace, [options.words], options.k, where=options.where)
    return {**asked, "hits": hits}


def explain(options: argparse.Namespace) -> Answer:
    """``explain``."""
    from flows.published import explain_release

    workspace = Workspace.open_existing(options.workspace)
    return {"k": options.k} | explain_release(workspace, options.left, options.right, options.k)


def embed(options: argparse.Namespace) -> Answer:
    """``embed``."""
    from flows.published import embed_files

    workspace = Workspace.open_existing(options.workspace)
    output = Path(options.output) if options.output else None
    return embed_files(workspace, options.files, output, dim=options.dim)


def release(options: argparse.Namespace) -> Answer:
    """``release list | compare A B | rollback [ID] | align [NEW OLD]``."""
    from flows.releases import answer_release

    return answer_release(options)


def status(options: argparse.Namespace) -> Answer:
    """``status``."""
    from flows.status import status_of

    return status_of(Workspace.open_existing(options.workspace))


def lineage(options: argparse.Namespace) -> Answer:
    """``lineage``."""
    store = Store(Workspace.open_existing(options.workspace))
    return {"path": options.path, "chain": store.lineage(Path(options.path))}


def verify(options: argparse.Namespace) -> Answer:
    """``verify``.

    Raises:
        ArtifactError: naming the first file that is not what its manifest says, or what the
            current release needs and is not there.
    """
    from model.errors import ArtifactError
    from tasks.release.pointer import flaws_of_current

    workspace = Workspace.open_existing(options.workspace)
    store = Store(workspace)
    problems = [*store.verify_all(), *flaws_of_current(workspace)]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ArtifactError(f"{problems[0]}{more}: the next run sets it aside and rebuilds it")
    artifacts = list(store.artifacts())
    return {"artifacts": len(artifacts), "problems": [], "erased": store.erased(artifacts)}


def gc(options: argparse.Namespace) -> Answer:
    """``gc``."""
    store = Store(Workspace.open_existing(options.workspace))
    removed = store.collect_garbage(
        dry_run=not options.yes,
        older_than_days=options.older_than_days,
        keep_releases=options.keep_releases,
    )
    return {
        "deleted": options.yes,
        "paths": [{"path": str(path), "bytes": size} for path, size in removed],
    }


def erase(options: argparse.Namespace) -> Answer:
    """``erase``."""
    from flows.erase import erase_documents

    return erase_documents(
        Workspace.open_existing(options.workspace),
        options.doc_ids,
        yes=options.yes,
        with_duplicates=options.with_duplicates,
        reason=options.reason,
    )


def doctor(options: argparse.Namespace) -> Answer:
    """``doctor``.

    Raises:
        CorpusmithError: a check failed; all of them have been shown on standard error then.
    """
    from flows.doctor import examine, verdict

    answer = examine(options.workspace)
    if failure := verdict(answer):
        show.doctor(answer, to_stderr=True)
        raise failure
    return answer


def deploy(options: argparse.Namespace) -> Answer:
    """``deploy``; with ``--print-file`` it only says where the description of deployments lies."""
    from flows.deploy import deploy, prefect_file

    if options.print_file:
        return {"prefect_file": str(prefect_file())}
    return deploy(options.paths, options.workspace)


def ui(options: argparse.Namespace) -> Answer:
    """``ui``: returns when it is stopped."""
    from flows.ui import serve_ui

    workspace = Workspace.open_existing(options.workspace)
    return serve_ui(workspace.state, options.mlflow_port, options.prefect_port)


COMMANDS = {
    "run": Command(run, show.run),
    "refresh": Command(refresh, show_refresh.refresh),
    "plan": Command(plan, show.plan),
    "search": Command(search, show.search),
    "explain": Command(explain, show.explain),
    "embed": Command(embed, show.embed),
    "release": Command(release, show_release.release),
    "status": Command(status, show_status.status),
    "lineage": Command(lineage, show.lineage),
    "verify": Command(verify, show.verify),
    "gc": Command(gc, show.gc),
    "erase": Command(erase, show_erase.erase),
    "doctor": Command(doctor, show.doctor),
    "deploy": Command(deploy, show.deploy),
    "ui": Command(ui, show.nothing),
}


def _config(options: argparse.Namespace) -> Any:
    given = overrides(options)
    if options.paths:
        given.setdefault("ingest", {})["paths"] = options.paths
    return load_config(options.config, given)
