"""Refreshes a folder that changes for a month, with kills, and holds every night to a fresh start.

    python -m tests.operations.nights --folder nights --nights 30 --seed 0

Each night documents come, change, go and are copied; on some nights one is erased, on one the
subject of the new ones is another. Half of the refreshes are killed at a random moment and begun
again. The release of each night must equal one that is made from scratch with the same embedder,
and an erased document's words must be nowhere. Where drift is told, the whole chain is run, and its
embedder is published or refused. The table goes to ``nights.md`` in the folder.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows.chain import QUICK, Chain
from tests.operations.changing_folder import CANARY, ChangingFolder, Night
from tests.operations.kills import killed_after
from tests.operations.lines import table, tell
from tests.operations.scratch import is_as_from_scratch
from tests.tasks.erasure.traces import traces

NUM_DOCUMENTS = 400
ERASED_EVERY = 10
CHANGED_AT = 0.6  # of the nights
KILLED_FRAC = 0.5
USUAL_S = 15.0
HEAD = "| night | changed | killed after s | seconds | embedded | drift | release | then |"


@dataclass
class Row:
    """What became of a night."""

    number: int
    changed: Night
    killed_after_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    num_embedded: int = 0
    drift: str = "quiet"
    release: int = 0
    then: str = ""

    def line(self) -> str:
        """As the table has it."""
        night = self.changed
        counts = f"{len(night.new)} new, {len(night.edited)} edited, {len(night.removed)} removed"
        changed = f"{counts}, {len(night.duplicated)} copied"
        killed = ", ".join(f"{after_s:.1f}" for after_s in self.killed_after_s)
        cells = (self.number, changed + (", another subject" if night.is_other else ""), killed)
        more = (f"{self.seconds:.1f}", self.num_embedded, self.drift, self.release, self.then)
        return f"| {' | '.join(map(str, (*cells, *more)))} |"


class Nights:
    """The month.

    Args:
        folder: holds texts, workspace and what is compared; emptied before.
        num_nights: how many.
        seed: of the documents and the kills.
    """

    def __init__(self, folder: Path, num_nights: int, seed: int) -> None:
        self.folder = folder
        self.num_nights = num_nights
        self.rng = random.Random(seed)
        self.texts = ChangingFolder(folder / "texts", NUM_DOCUMENTS, seed)
        self.chain = Chain(self.texts.folder, folder / "workspace")
        self.rows: list[Row] = []

    def pass_all(self) -> None:
        """The first run, then every night."""
        self.chain.answer("run", str(self.texts.folder), *QUICK)
        for number in range(1, self.num_nights + 1):
            self.rows.append(self.pass_one(number))
            tell(self.rows[-1].line())

    def pass_one(self, number: int) -> Row:
        """Change, refresh, compare; erase and train where it is time to."""
        is_other = number == round(CHANGED_AT * self.num_nights)
        row = Row(number, self.texts.pass_a_night(is_other=is_other))
        canary = self.texts.add_canary() if number % ERASED_EVERY == ERASED_EVERY - 1 else None
        answer = self.refresh(row)
        row.release = answer["release"]["id"]
        row.num_embedded = int(answer["metrics"].get("export/num_embedded", 0))
        if answer["drift"]["alarm"]:
            row.drift = ", ".join(answer["drift"]["raised"]) or "known"
        is_same = is_as_from_scratch(self.chain, self.folder / "scratch")
        assert is_same, f"night {number}: another table than one made from scratch"
        if answer["proposal"]:
            row.then = self.train(answer["release"]["id"])
        if canary:
            row.then += self.erase(canary)
        return row

    def refresh(self, row: Row) -> dict[str, Any]:
        """Until it ends; some tries are killed."""
        command = ("refresh", str(self.texts.folder), *QUICK)
        usual_s = statistics.median([each.seconds for each in self.rows] or [USUAL_S])
        while self.rng.random() < KILLED_FRAC:
            after_s, began_s = self.rng.uniform(0.1, 1.0) * usual_s, time.monotonic()
            if answer := killed_after(self.chain, command, after_s):
                row.seconds = time.monotonic() - began_s
                return answer
            row.killed_after_s.append(after_s)
        began_s = time.monotonic()
        answer = self.chain.answer(*command)
        row.seconds = time.monotonic() - began_s
        return answer

    def train(self, before: int) -> str:
        """The whole chain; its embedder must be published or refused, with reasons."""
        answer = self.chain.answer("run", str(self.texts.folder), *QUICK)
        refused = answer.get("refused")
        assert (answer["release"]["id"] == before) == bool(refused), answer["release"]
        return f"refused: {refused['reasons'][0]}" if refused else "trained and published"

    def erase(self, name: str) -> str:
        """A document that was released is to be nowhere; the file is its owner's to delete."""
        (self.texts.folder / name).unlink()
        hits = self.chain.answer("search", CANARY, "-k", "1")["hits"]
        doc_id = hits[0]["doc_id"]
        assert name in doc_id, hits
        self.chain.answer("erase", doc_id, "--yes")
        found = traces(self.folder / "workspace", phrases=[CANARY, CANARY.capitalize()])
        assert not found, found
        return f"{doc_id} erased"


def main(arguments: Sequence[str] | None = None) -> None:
    """Pass the nights, write the table; exit status 1 at the first that is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="is emptied first")
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    nights = Nights(folder, options.nights, options.seed)
    tell(HEAD)
    try:
        nights.pass_all()
    finally:
        lines = [row.line() for row in nights.rows]
        (folder / "nights.md").write_text(table(HEAD, lines), "utf-8")
    quiet = [row for row in nights.rows if row.drift == "quiet" and not row.changed.is_other]
    tell(json.dumps({"nights": len(nights.rows), "quiet_ordinary_nights": len(quiet)}))


if __name__ == "__main__":
    main()
