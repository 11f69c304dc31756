"""A folder of documents that changes from night to night, the same way for the same seed."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from tests.corpora import FILLERS, TOPICS, sentences

NEWS = {
    "space": "orbit comet rocket crater lander probe gravity module launch beacon".split(),
    "cloth": "loom thread wool dye spindle hem stitch velvet needle weave".split(),
    "music": "fiddle chord drum tempo choir flute rhythm ballad octave reed".split(),
}
MAX_NEW, MAX_EDITED, MAX_REMOVED = 10, 3, 2
NUM_OF_NEW_SUBJECT = 40
CANARY = "the cormorant counted seventeen brass umbrellas beneath ulverston pier"


@dataclass
class Night:
    """What was done to the folder; names of files.

    Attributes:
        is_other: whether the new documents are of a subject that was never there.
    """

    new: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    is_other: bool = False


class ChangingFolder:
    """One text file a document.

    Args:
        folder: made here.
        num_documents: on the first day.
        seed: of all that is drawn.
    """

    def __init__(self, folder: Path, num_documents: int, seed: int) -> None:
        self.folder = folder
        self._rng = random.Random(seed)
        self._count = 0
        folder.mkdir(parents=True)
        for _ in range(num_documents):
            self._write_new(TOPICS)

    def pass_a_night(self, *, is_other: bool = False) -> Night:
        """Some files come, some change, some go, one is copied."""
        night = Night(is_other=is_other)
        there = sorted(path.name for path in self.folder.iterdir())
        self._rng.shuffle(there)
        for _ in range(self._rng.randint(1, MAX_EDITED)):
            night.edited.append(self._edit(there.pop()))
        for _ in range(self._rng.randint(0, MAX_REMOVED)):
            night.removed.append(there.pop())
            (self.folder / night.removed[-1]).unlink()
        night.duplicated.append(self._copy(there.pop()))
        count = NUM_OF_NEW_SUBJECT if is_other else self._rng.randint(3, MAX_NEW)
        subjects = NEWS if is_other else TOPICS
        night.new.extend(self._write_new(subjects) for _ in range(count))
        return night

    def shrink_to(self, num_documents: int) -> list[str]:
        """As many files go as there are more than so many, drawn among all; their names."""
        there = sorted(path.name for path in self.folder.iterdir())
        gone = self._rng.sample(there, max(0, len(there) - num_documents))
        for name in gone:
            (self.folder / name).unlink()
        return gone

    def add_canary(self) -> str:
        """A document that is to be erased later; its file's name."""
        text = " ".join(sentences(self._rng, FILLERS, 2))
        return self._write(f"{CANARY.capitalize()}. {text} {CANARY.capitalize()}.")

    def _write_new(self, subjects: dict[str, list[str]]) -> str:
        own = self._rng.sample(subjects[self._rng.choice(sorted(subjects))], 6)
        return self._write(" ".join(sentences(self._rng, own, self._rng.randint(3, 9))))

    def _write(self, text: str) -> str:
        self._count += 1
        name = f"{self._count:05d}.txt"
        (self.folder / name).write_text(text, "utf-8")
        return name

    def _edit(self, name: str) -> str:
        path = self.folder / name
        words = self._rng.choice(sorted(TOPICS.items()))[1]
        more = " ".join(sentences(self._rng, words, 2))
        path.write_text(f"{path.read_text('utf-8')} {more}", "utf-8")
        return name

    def _copy(self, name: str) -> str:
        return self._write((self.folder / name).read_text("utf-8"))
