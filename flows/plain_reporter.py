"""What a stage says where no run is going on: its lines on standard error, nothing else."""

from collections.abc import Mapping, Sequence

from flows.terminal import Terminal


class PlainReporter:
    """See `tasks.stage.Reporter`; metrics stand in the artifact's manifest anyway."""

    def __init__(self) -> None:
        """Nothing said yet."""
        self._console = Terminal(stderr=True, soft_wrap=True)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Not shown."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """Not shown."""

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Not shown."""

    def example(self, name: str, text: str) -> None:
        """Not kept: it quotes documents."""

    def message(self, text: str) -> None:
        """Say one line."""
        self._console.say(text)

    def warning(self, text: str) -> None:
        """Say one line that must not be missed."""
        self._console.say(text, style="yellow")
