"""Where runs are recorded: an MLflow named by the environment, else the workspace's own."""

import os
from dataclasses import dataclass
from pathlib import Path

from tasks.redaction import without_password

DEFAULT_EXPERIMENT = "corpusmith"
PAGES_VARIABLE = "CORPUSMITH_MLFLOW_PAGES"


@dataclass(frozen=True)
class Location:
    """An MLflow to write to.

    Attributes:
        uri: as MLflow's client takes it; may hold a password, so never show or store it.
        artifact_folder: absolute; where files go if we write to a database. None with a server,
            which decides that itself.
        is_embedded: whether this is the workspace's own store.
    """

    uri: str
    artifact_folder: Path | None = None
    is_embedded: bool = False

    @property
    def is_server(self) -> bool:
        """Whether it speaks HTTP, so that its pages are there to be looked at."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def public_uri(self) -> str:
        """The address without a user's name and password."""
        return without_password(self.uri)


def locate(state_folder: Path) -> Location:
    """The MLflow in MLFLOW_TRACKING_URI, else SQLite in the state folder."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return at(given, state_folder) if given else embedded(state_folder)


def at(uri: str, state_folder: Path) -> Location:
    """The MLflow at an address; files of a bare database go to the state folder.

    MLflow itself would put those into whatever folder the command was started in.
    """
    is_database = uri.startswith(("sqlite", "postgresql", "mysql", "mssql"))
    return Location(uri, state_folder.resolve() / "mlartifacts" if is_database else None)


def embedded(state_folder: Path) -> Location:
    """The workspace's own store: ``mlflow.db`` and ``mlartifacts`` in the state folder."""
    state = state_folder.resolve()
    uri = f"sqlite:///{state / 'mlflow.db'}"
    return Location(uri, state / "mlartifacts", is_embedded=True)


def experiment_name(asked: str) -> str:
    """The experiment asked for; the default one gives way to MLFLOW_EXPERIMENT_NAME."""
    if asked == DEFAULT_EXPERIMENT:
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or asked
    return asked


def run_page(location: Location, experiment_id: str, run_id: str) -> str | None:
    """The address of a run's page; None where there is no server that would show it.

    People may see the server at another address than we do, as behind a proxy or outside of a
    container's network: CORPUSMITH_MLFLOW_PAGES is that address. (Prefect has PREFECT_UI_URL.)
    """
    if not location.is_server:
        return None
    pages = without_password(os.environ.get(PAGES_VARIABLE, ""))
    server = (pages or location.public_uri).rstrip("/")
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"


def prepare_environment() -> None:
    """Set what MLflow reads when it is imported: no telemetry, no chatter, no long silent waits.

    Values the user has set stay, except for telemetry.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    quiet = {
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Our own queue retries, and looks first what has arrived: an answer that was lost in the
        # network does not mean that a run has not been made.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "PGCONNECT_TIMEOUT": "10",  # to PostgreSQL; else 130
    }
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
