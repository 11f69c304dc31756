"""How a run's Prefect pages lead to its MLflow pages, and those back."""

import threading
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import LinkArtifact
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from flows.harmless import harmless
from flows.servers import is_own_server
from tasks.redaction import without_password
from tasks.tracking import StageTrack, Tracker


def flow_run_tags() -> dict[str, str]:
    """What an MLflow run says of the Prefect run in progress: its id, and its page if any."""
    run_id = str(flow_run.id)
    page = flow_run_page(run_id)
    tags = {"prefect.flow_run_id": run_id}
    return tags | {"prefect.flow_run_url": page} if page else tags


def flow_run_page(flow_run_id: str) -> str | None:
    """The address of a flow run's page.

    None for our own server: it ends with the run, so that what it shows has no lasting address.
    """
    page = None if is_own_server() else url_for("flow-run", obj_id=flow_run_id)
    return without_password(page) if page else None


class Links:
    """Links from Prefect's pages to MLflow's, made as soon as MLflow has the runs.

    Where the tracker has no server there is nothing to link to.
    """

    def __init__(self, tracker: Tracker, warn: Callable[[str], None]) -> None:
        """`warn` is told of links that could not be made."""
        self._tracker = tracker
        self._warn = warn
        self._waiting: list[tuple[str, UUID, StageTrack | None]] = []
        self._change = threading.Lock()  # stages' pages come from threads of their own
        self._told: set[str] = set()  # a link that fails is tried again and again

    def add(self, key: str, flow_run_id: str, track: StageTrack | None = None) -> None:
        """Let the page of that flow run lead to a stage's run in MLflow, or to the parent's."""
        self._keep((key, UUID(flow_run_id), track))

    def make_known(self) -> None:
        """Make the links that can be made by now; the others wait, and all where one fails."""
        with self._change:
            waiting, self._waiting = self._waiting, []
        is_answering = True
        for link in waiting:
            key, flow_run_id, track = link
            page = self._tracker.page(track) if is_answering else None
            if page is None:
                self._keep(link)
                continue
            is_answering = False
            with harmless(f"{key} could not be shown in Prefect", self._tell):
                LinkArtifact(
                    key=key, link=page, link_text="the run in MLflow", flow_run_id=flow_run_id
                ).create()
                is_answering = True
            if not is_answering:
                self._keep(link)

    def _keep(self, link: tuple[str, UUID, StageTrack | None]) -> None:
        with self._change:
            self._waiting.append(link)

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._warn(line)
