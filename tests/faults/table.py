"""The table of faults that were tried and what happened."""

from dataclasses import dataclass, field
from pathlib import Path

ROWS_VARIABLE = "CORPUSMITH_FAULT_ROWS"  # a file to add rows to


@dataclass
class Table:
    """Collects a row for every fault; one file a process, so that processes may work side by side.

    Attributes:
        path: where the rows go, if anywhere.
    """

    path: Path | None
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, fault: str, where: str, happened: str) -> None:
        """Note that a fault was tried."""
        self.rows.append((fault, where, happened))
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"| {fault} | {where} | {happened} |\n")
