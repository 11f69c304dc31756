"""The checkpoints of one run: where it goes on, what it goes back to, and what it leaves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers
from model.ranks import Ranks
from model.state import TrainingState, load_state, save_state
from tasks.checkpoints import Checkpoint, keep_scheduled, newest_checkpoint, write_checkpoint
from tasks.stage import Reporter

CHECKPOINTS = "checkpoints"


@dataclass
class SavedStates:
    """Reads and writes the states of a run; every rank has one, only the first one writes.

    Attributes:
        folder: of the checkpoints.
        model: being trained.
        optimizers: of that model.
        fingerprint: settings and data that a resumed run must share.
        ranks: who trains together; all must ask at once.
        report: hears of damage.
        write_beside: writes what a checkpoint holds beside the state.
    """

    folder: Path
    model: MaskedLanguageModel
    optimizers: Optimizers
    fingerprint: Mapping[str, Any]
    ranks: Ranks
    report: Reporter
    write_beside: Callable[[Path], None]
    _num_scheduled: int = 0

    def resume(self) -> TrainingState:
        """Puts model and optimizers where the newest whole checkpoint was, if there is one.

        Raises:
            ArtifactError: it is of other settings or data.
        """
        return self._load(scheduled_only=False) or TrainingState()

    def roll_back(self, begin_anew: Callable[[], None]) -> TrainingState:
        """Puts them where the newest scheduled one was, or else where `begin_anew` puts them.

        Those that a stop or the clock caused do not count: a run must not end otherwise because
        it was stopped.
        """
        state = self._load(scheduled_only=True)
        if state is None:
            begin_anew()
            state = TrainingState()
        self._num_scheduled = state.num_checkpoints
        return state

    def write(self, state: TrainingState) -> None:
        """Leaves a checkpoint; a scheduled one where `state` counts one more than before."""

        def write_files(folder: Path) -> None:
            save_state(folder, self.model, self.optimizers, state, self.fingerprint)
            self.write_beside(folder)

        scheduled = state.num_checkpoints > self._num_scheduled
        self._num_scheduled = state.num_checkpoints
        write_checkpoint(self.folder, state.step, write_files, scheduled=scheduled)

    def keep_scheduled(self) -> None:
        """Leaves what belongs to the result, when the run is over."""
        keep_scheduled(
            self.folder,
            on_damaged=lambda folder: self.report.warning(
                f"checkpoint {folder.name} was damaged after it was written: the result lacks it"
            ),
        )

    def _load(self, *, scheduled_only: bool) -> TrainingState | None:
        found = self._find(scheduled_only) if self.ranks.is_first else None
        said = self.ranks.first_says(str(found.folder) if found else "")
        if not said:
            return None
        state = load_state(Path(said), self.model, self.optimizers, self.fingerprint)
        self._num_scheduled = state.num_checkpoints
        return state

    def _find(self, scheduled_only: bool) -> Checkpoint | None:
        return newest_checkpoint(
            self.folder,
            on_damaged=lambda folder: self.report.warning(
                f"checkpoint {folder.name} is damaged and was set aside as broken-{folder.name}: "
                "its steps run again"
            ),
            scheduled_only=scheduled_only,
        )
