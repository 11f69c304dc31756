"""Reads back what MLflow holds."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tasks.tracking.location import embedded


def client_of(place: Path | str) -> MlflowClient:
    """A client of the embedded store in a state folder, or of a server."""
    return MlflowClient(embedded(place).uri if isinstance(place, Path) else place)


def run_named(client: MlflowClient, name: str, experiment: str = "corpusmith") -> Run:
    """The only run of that name."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], f"attributes.run_name = '{name}'")
    assert len(runs) == 1, f"{len(runs)} runs are named {name}"
    return runs[0]


def history(client: MlflowClient, run: Run, metric: str) -> list[tuple[int, float]]:
    """Step and value of every point, in the order MLflow gives them."""
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, metric)]
