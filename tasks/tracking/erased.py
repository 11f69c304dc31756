"""Takes pages that quote documents out of the tracker, and marks models that learned from them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.redaction import without_secrets
from tasks.tracking.location import Location, locate, prepare_environment

_PAGE_SIZE = 1000
LEARNED_TAG = "corpusmith.learned_from_erased"
_NOTE = (
    "**Learned from documents that have been erased since.** A new run makes an embedder that "
    "never saw them.\n\n"
)


@dataclass(frozen=True)
class TrackerErasure:
    """What was done.

    Attributes:
        location: of the tracker, without a password.
        num_pages: pages that were replaced.
        num_models: versions of registered models that were marked.
        problem: why not all could be done, in one line; None where it was.
    """

    location: str
    num_pages: int = 0
    num_models: int = 0
    problem: str | None = None


def erase_from_tracker(
    state_folder: Path,
    *,
    content_ids: Collection[str],
    run_ids: Collection[str],
    learned: Collection[str],
    pages: Mapping[str, str],
) -> TrackerErasure:
    """Replace pages of runs, and mark versions of models. Never raises.

    Args:
        state_folder: of the workspace.
        content_ids: of artifacts; the runs that made or reused them may show pages.
        run_ids: of runs of corpusmith that ended early; theirs may too.
        learned: content ids of embedders that learned from what was erased.
        pages: what replaces each page, by its file's name.
    """
    location = locate(state_folder)
    if location.is_embedded and not (state_folder / "mlflow.db").exists():
        return TrackerErasure(location.public_uri)
    try:
        prepare_environment()
        tracker = _Tracker(location)
        num_pages = sum(
            tracker.replace_pages(run_id, pages)
            for run_id in sorted(tracker.runs(content_ids, run_ids))
        )
        return TrackerErasure(location.public_uri, num_pages, tracker.mark_models(learned))
    except Exception as error:  # of many libraries; the receipt says that it was not reached
        first_line = without_secrets(str(error).partition("\n")[0])
        return TrackerErasure(
            location.public_uri, problem=f"{type(error).__name__}: {first_line}"[:300]
        )


class _Tracker:
    """The runs and models of one MLflow."""

    def __init__(self, location: Location) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import ViewType

        self._client = MlflowClient(location.uri)
        self._all = ViewType.ALL  # what was deleted in the tracker still lies there
        self._experiments = [
            each.experiment_id
            for each in _paged(
                lambda token: self._client.search_experiments(view_type=self._all, page_token=token)
            )
        ]

    def runs(self, content_ids: Collection[str], run_ids: Collection[str]) -> set[str]:
        """MLflow's ids of the runs of these artifacts, and of all runs that those runs began."""
        found = {
            run for content in content_ids for run in self._having("corpusmith.content_id", content)
        }
        for run_id in run_ids:
            for parent in self._having("corpusmith.run_id", run_id):
                found |= {parent, *self._having("mlflow.parentRunId", parent)}
        return found

    def replace_pages(self, run_id: str, pages: Mapping[str, str]) -> int:
        names = [each.path for each in self._client.list_artifacts(run_id)]
        wanted = [name for name in names if name in pages]
        for name in wanted:
            self._client.log_text(run_id, pages[name], name)
        return len(wanted)

    def mark_models(self, content_ids: Collection[str]) -> int:
        num_marked = 0
        if not content_ids:
            return num_marked
        for version in _paged(
            lambda token: self._client.search_model_versions(
                max_results=_PAGE_SIZE, page_token=token
            )
        ):
            if version.tags.get("corpusmith.content_id") in content_ids:
                self._client.set_model_version_tag(
                    version.name, version.version, LEARNED_TAG, "true"
                )
                text = version.description or ""
                if not text.startswith(_NOTE):
                    self._client.update_model_version(
                        version.name, version.version, (_NOTE + text)[:5000]
                    )
                num_marked += 1
        return num_marked

    def _having(self, tag: str, value: str) -> Iterator[str]:
        found = _paged(
            lambda token: self._client.search_runs(
                self._experiments,
                f"tags.`{tag}` = '{value}'",
                run_view_type=self._all,
                page_token=token,
            )
        )
        yield from (run.info.run_id for run in found)


def _paged(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """What a search of MLflow finds, from all of its pages."""
    token = None
    while True:
        page = fetch(token)
        yield from page
        token = page.token
        if not token:
            return
