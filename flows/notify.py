"""Tells people of failures, releases, refusals and drift, by a notification block of Prefect's.

The block is saved in Prefect, with its secrets; a run only knows its name. A message names runs,
numbers and places, never text of documents. One that cannot be sent is a warning.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger

from flows.failure import failure_of
from flows.harmless import harmless
from flows.links import flow_run_page
from flows.session import Session
from flows.show import headline
from flows.terminal import Terminal
from model.errors import RequestError
from tasks.release.release import Release


def send(block: str, subject: str, body: str) -> None:
    """Send one message.

    Args:
        block: kind and name of a saved notification block, such as ``slack-webhook/ops``.
        subject: its first line.
        body: the rest.

    Raises:
        ValueError: no such block is saved.
        RequestError: it is no notification block.
        NotificationError: it could not deliver the message.
    """
    import_module("prefect.blocks.notifications")  # makes the kinds of blocks known
    loaded: Any = Block.load(block)
    if not isinstance(loaded, NotificationBlock):
        raise RequestError(f"notify.block {block}: it sends no notifications: name one that does")
    send_now: Any = loaded.notify  # typed as a coroutine, and yet it waits where we do
    with loaded.raise_on_failure():
        send_now(body, subject)


def tell_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook for runs that failed or crashed; it may run in another process than they."""
    block = _block_of(flow_run)
    if block is None:
        return
    workspace = flow_run.parameters.get("workspace", "workspace")
    lines = [f"flow run {flow_run.id}, workspace {workspace}"]
    if kind := failure_of(state).kind:  # its line may quote a document, and stands in the log
        lines.append(f"{kind}, see its log")
    lines.append("what is finished stays: the same run goes on from there")
    if page := flow_run_page(str(flow_run.id)):
        lines.append(page)

    def warn(text: str) -> None:
        flow_run_logger(flow_run, flow).warning(text)
        Terminal(stderr=True).say(text, style="yellow")

    name = (state.name or "failed").lower()
    with harmless(f"notify.block {block} was not told of the failure", warn):
        send(block, f"corpusmith: {flow_run.name} {name}", "\n".join(lines))


def tell_of_release(block: str | None, run: Session, release: Release) -> None:
    """Tell that the release has become the current one."""
    if block is None:
        return
    lines = [f"workspace {run.workspace.location}, run {run.run_id}"]
    told = (headline(stage, run.metrics) for stage in ("export", "tune", "evaluate"))
    lines += filter(None, told)
    if page := run.tracker.page():
        lines.append(page)
    with harmless(f"notify.block {block} was not told of the release", run.warn):
        send(block, f"corpusmith: release {release.id} is published", "\n".join(lines))


def tell_of_refusal(block: str | None, run: Session, refused: Mapping[str, Any]) -> None:
    """Tell that what was made has not become the current release, and why."""
    if block is None:
        return
    lines = [*refused["reasons"], f"workspace {run.workspace.location}, run {run.run_id}"]
    if page := run.tracker.page():
        lines.append(page)
    subject = f"corpusmith: not published, release {refused['against']} stays"
    with harmless(f"notify.block {block} was not told of the refusal", run.warn):
        send(block, subject, "\n".join(lines))


def tell_of_drift(block: str | None, run: Session, lines: Sequence[str]) -> None:
    """Tell that new documents are unlike those before, what was measured, and what is proposed."""
    if block is None:
        return
    told = [*lines, f"workspace {run.workspace.location}, run {run.run_id}"]
    if page := run.tracker.page():
        told.append(page)
    with harmless(f"notify.block {block} was not told of the drift", run.warn):
        send(block, "corpusmith: new documents are unlike those before", "\n".join(told))


def _block_of(flow_run: FlowRun) -> str | None:
    """The block named in the run's settings, which a schedule may give only in part."""
    config = flow_run.parameters.get("config", {})
    settings = config if isinstance(config, dict) else config.model_dump(mode="json")
    block = (settings.get("notify") or {}).get("block")
    return str(block) if block else None
