"""A reporter that remembers what it was told."""

from collections.abc import Mapping, Sequence


class Listening:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self.counted: list[tuple[int, int]] = []

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        raise AssertionError("a system has no metrics to report")

    def progress(self, done: int, total: int, unit: str) -> None:
        self.counted.append((done, total))

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        raise AssertionError("a system has no table to show")

    def example(self, name: str, text: str) -> None:
        raise AssertionError("a system has no example to show")

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)
