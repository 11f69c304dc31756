"""What a stage is, as the flows see it: an identity, its inputs and one plain function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tasks.settings import StageConfig
from tasks.store.artifact import Artifact
from tasks.tombstones import NO_TOMBSTONES, Tombstones

Item = TypeVar("Item")
Result = TypeVar("Result")
Metrics = dict[str, float]


class Reporter(Protocol):
    """Where a stage says what it is doing. Names carry no stage prefix; the reporter adds it."""

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Record named numbers, at a training step where there is one."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """Say how far the work has come, for example ``(200, 1000, "steps")``."""

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Show a small table, each row a mapping from the columns' names."""

    def example(self, name: str, text: str) -> None:
        """Show a page that quotes documents under a file's name, where the user allows it.

        A later page of the same name replaces it.
        """

    def message(self, text: str) -> None:
        """Say one line to whoever watches."""

    def warning(self, text: str) -> None:
        """Say one line that must not be missed."""


class ShardMapper(Protocol):
    """Runs a function over shards; the flows inject one that makes each shard a Prefect task."""

    def __call__(
        self, function: Callable[[Item], Result], shards: Sequence[Item], *, name: str
    ) -> list[Result]:
        """The results in the order of `shards`; the first failure is raised."""


class RemoteWorkers(Protocol):
    """Processes, on this machine and others, that see the workspace at the same path."""

    def call(
        self, function: Callable[..., Result], task: Item, *, told: str | None = None
    ) -> Result:
        """The function's result; any thread may call.

        Args:
            function: of a module, so that it is found there too.
            task: small; whatever is large goes through the workspace.
            told: the function's argument that takes a callback, which hears how far it has come.
                Where nobody waits for the result any more, the function ends in that callback.

        Raises:
            CorpusmithError: the processes were killed too often, or are gone.
            Exception: whatever the function raises.
        """


def map_in_order(
    function: Callable[[Item], Result], shards: Sequence[Item], *, name: str
) -> list[Result]:
    """The mapper used where no orchestrator is present: one shard after another."""
    return [function(shard) for shard in shards]


@dataclass(frozen=True)
class StageContext:
    """Everything a stage's function is handed.

    Attributes:
        config: the stage's own settings.
        inputs: committed, verified artifacts by upstream stage name.
        output: the staging folder; after a crash it may hold what an earlier attempt finished.
        report: where to send metrics, progress and messages.
        map_shards: how to run independent shards.
        remote: other processes that can do the work on shards; None where there are none.
        earlier: the folder of the newest verified artifact of this stage that differs in the
            user's files at most, if there is one.
        newest: the newest verified artifact of this stage that a predicate accepts, if there is
            one; to be read from only. What is taken from it must not change the result.
        erased: what must not be taken in again.
        need_room: told, before the work, about how many bytes the output folder will hold in all;
            raises `DiskFullError` where they do not fit.
    """

    config: Any
    inputs: Mapping[str, Artifact]
    output: Path
    report: Reporter
    map_shards: ShardMapper = map_in_order
    remote: RemoteWorkers | None = None
    earlier: Callable[[], Path | None] = lambda: None
    newest: Callable[[Callable[[Artifact], bool]], Artifact | None] = lambda suits: None
    erased: Tombstones = NO_TOMBSTONES
    need_room: Callable[[float], None] = lambda num_bytes: None


@dataclass(frozen=True)
class Stage:
    """One stage of the chain.

    Attributes:
        name: as in folders, metrics and the command line.
        version: raised by hand when the same input and settings give other output.
        upstream: names of the stages whose artifacts it reads, unless its settings make some of
            them needless; see `reads`.
        run: does the work in ``context.output`` and returns the stage's final metrics.
        sources: what identifies inputs that are no artifacts (the user's files), as JSON.
        tracked_files: names of output files the tracker should keep a copy of, where it is written.
        quoting_files: the same for files that quote the user's text; only if the user allows it.
        heeds_erasures: whether what was erased from the workspace changes its result.
        goes_on_from: names or patterns of what `run` goes on from if it finds it in the output
            folder, after checking it itself: files and folders of the artifact's top. Of an
            artifact that was set aside, what is whole of them is put there. All else is kept in
            quarantine, so name nothing that `run` may throw away.
    """

    name: str
    version: int
    upstream: tuple[str, ...]
    run: Callable[[StageContext], Metrics]
    sources: Callable[[StageConfig], Any] | None = None
    tracked_files: tuple[str, ...] = ()
    quoting_files: tuple[str, ...] = ()
    heeds_erasures: bool = False
    goes_on_from: tuple[str, ...] = ()

    def reads(self, config: StageConfig) -> tuple[str, ...]:
        """The stages whose artifacts it reads with these settings."""
        return tuple(name for name in self.upstream if name not in config.does_without())


def later(module: str) -> Callable[[StageContext], Metrics]:
    """The function ``run`` of a module that is imported when it is called.

    With it come the libraries that the work needs, in seconds; who finds a committed artifact,
    or plans, needs none of them.
    """

    def run(context: StageContext) -> Metrics:
        metrics: Metrics = import_module(module).run(context)
        return metrics

    return run


def named_sources(module: str, *settings: str) -> Callable[[StageConfig], Any]:
    """The function ``sources`` of a module, imported where a setting names something.

    Args:
        module: whose function gives None where none of the settings does.
        settings: the fields of the stage's settings that name files; None or empty if they do not.
    """

    def sources(config: StageConfig) -> Any:
        if not any(getattr(config, setting) for setting in settings):
            return None
        return import_module(module).sources(config)

    return sources
