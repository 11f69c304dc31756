"""Experiment tracking: what a run tells MLflow, without ever waiting for it.

Records go to a file (`spool`), a thread (`sender`) carries them to MLflow (`mlflow_sink`) and
what could not be sent is sent at the next start (`replay`). MLflow is imported in a thread of
its own only, here and nowhere else in the project.
"""

from tasks.tracking.delivery import load_early
from tasks.tracking.location import Location, locate
from tasks.tracking.replay import replay
from tasks.tracking.tracker import StageTrack, Tracker, open_tracker

__all__ = ["Location", "StageTrack", "Tracker", "load_early", "locate", "open_tracker", "replay"]
