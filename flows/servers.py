"""Prefect's API for a run: the one the environment names, else one the workspace brings along."""

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from flows import prefect_server
from flows.errors import ApiGoneError
from flows.local_server import LOOPBACK, LocalServer, answers, free_port
from flows.patience import bounded_patience
from model.errors import CorpusmithError, RequestError
from tasks.redaction import names_user, without_password

START_S = 180.0  # a fresh database is migrated first, and the machine may be busy
# The server takes a run of ours for dead that was heard and then is not for 75 s.
HEARTBEAT_VARIABLE = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
HEARTBEAT_S = 30  # the least that Prefect takes; its default is 180
API_WITH_USER = (
    "PREFECT_API_URL holds a user or password, which Prefect would log and show: take it out, and "
    "set PREFECT_API_AUTH_STRING to user:password"
)

_own: LocalServer | None = None  # this process's API server
_own_home: Path | None = None


class PrefectApi:
    """The Prefect API this process talks to: one that was there, or our own server."""

    def __init__(self, url: str, server: LocalServer | None) -> None:
        self.url = url
        self.server = server

    def wait_until_ready(self) -> None:
        """Return when the API answers; call it before the first flow.

        Raises:
            CorpusmithError: it does not answer.
        """
        if self.server:
            self.server.wait_until_ready(START_S)
        elif not answers(f"{self.url}/health"):
            raise CorpusmithError(
                f"the Prefect API at PREFECT_API_URL={self.url} does not answer: "
                "start it, or unset the variable to use the workspace's own"
            )

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """The block runs flows. Should our own server die, it is started again: Prefect's client
        goes on asking for a minute. An API that others run is waited for, but not for ever."""
        with self.server.kept(_say) if self.server else bounded_patience(f"{self.url}/health"):
            yield

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """The block runs flows; what ends them because the API is gone is told as that.

        Raises:
            ApiGoneError: it went away. What stages have finished is in the workspace.
        """
        try:
            yield
        except (CorpusmithError, MemoryError):
            raise
        except Exception as error:  # of the HTTP client, of Prefect, of what it makes of both
            if _is_of_this_machine(error) or (not self._was_away() and self._is_there()):
                raise
            log = f" (its log is {self.server.log})" if self.server else ""
            raise ApiGoneError(
                f"the Prefect API at {without_password(self.url)} went away{log}: what is finished "
                f"stays: run the same command again{'' if self.server else ' when it is back'}"
            ) from error

    def _was_away(self) -> bool:
        """Our own server may be back just as Prefect's client has given it up."""
        return self.server is not None and self.server.was_restarted

    def _is_there(self) -> bool:
        """Asked twice: one answer may be late where the machine has no memory to spare."""
        return any(answers(f"{self.url}/health") for _ in range(2))


def prepare_prefect(state_folder: Path) -> PrefectApi:
    """Point Prefect at an API, before it is imported: the one in PREFECT_API_URL, else our own.

    Our own server keeps its database, results and log under ``state_folder/prefect``, listens on
    loopback only and ends with this process, however that ends. It starts in the background:
    about 3 s, and 7 to 14 s where its database is new. Once per process and workspace.

    Returns:
        The API; call its `wait_until_ready` when the first flow is about to run.

    Raises:
        RequestError: the address in PREFECT_API_URL holds a password.
    """
    quieten_prefect()
    home = state_folder.resolve() / "prefect"
    if _own and _own.is_running and home == _own_home:
        return PrefectApi(os.environ["PREFECT_API_URL"], _own)
    given = given_api()
    if given and not (_own and given.startswith(_own.url)):
        os.environ[HEARTBEAT_VARIABLE] = str(HEARTBEAT_S)
        return PrefectApi(given, None)
    return _start_own(home)


def given_api() -> str | None:
    """The Prefect API that PREFECT_API_URL names, without a slash at its end.

    Raises:
        RequestError: it holds a user or a password, which Prefect would log and show.
    """
    given = os.environ.get("PREFECT_API_URL", "")
    if names_user(given):
        raise RequestError(API_WITH_USER)
    return given.rstrip("/") or None


def _start_own(home: Path) -> PrefectApi:
    global _own, _own_home
    stop_prefect()
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    os.environ |= _prefect_environment(home, f"{url}/api")
    _own_home = home
    _own = LocalServer(
        "the Prefect API server",
        prefect_command(port),
        url=url,
        health="/api/health",
        environment=_API_ENVIRONMENT | only_own_pages(url),
        log=home / "server.log",
    )
    if "prefect" in sys.modules:  # its settings were read when it was imported
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    return PrefectApi(f"{url}/api", _own)


@contextlib.contextmanager
def without_heartbeats() -> Iterator[None]:
    """Flows that begin in this block send no signs of life; for runs on our own server.

    Nobody looks for them there, as it ends with the run. At the end of each flow Prefect waits for
    the thread that sends them, which sleeps for a second: 0.5 s a stage on average. No environment
    variable turns them off.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def is_own_server() -> bool:
    """Whether Prefect's API is the server that this process started, and ends with it."""
    return _own is not None and os.environ.get("PREFECT_API_URL", "").startswith(_own.url)


@atexit.register
def stop_prefect() -> None:
    """End our own API server, if there is one.

    Registered before Prefect is imported, so it runs after Prefect has sent its last words.
    """
    global _own
    if _own:
        _own.stop()
        os.environ.pop("PREFECT_API_URL", None)
    _own = None


# What Prefect sets for its own temporary server: only the services a run needs, no pages.
_API_ENVIRONMENT = {
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}


def _is_of_this_machine(error: Exception) -> bool:
    """Such as a full or read-only disk, which no API's absence explains."""
    return isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def prefect_command(port: int) -> list[str]:
    """What starts Prefect's server on loopback, see `flows.prefect_server`.

    By its path, since it runs in another folder; -P, so that it finds no module of ours first.
    """
    return [sys.executable, "-P", prefect_server.__file__, str(port)]


def _prefect_environment(home: Path, api_url: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_API_URL": api_url,
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), LOOPBACK])),
    }


def only_own_pages(url: str) -> dict[str, str]:
    """What lets no page of another site, open in a browser here, read or change what Prefect has.

    Its default lets all of them. Its own page may be opened as localhost, too, as who comes
    through a tunnel does. `flows.prefect_server` holds web sockets to it as well. It takes the
    place of what the user's environment may have under that name, for another server.
    """
    own = f"{url},{url.replace(LOOPBACK, 'localhost')}"
    return {prefect_server.ORIGINS_VARIABLE: own}


def without_telemetry() -> dict[str, str]:
    """What tells Prefect to send nothing home."""
    return {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


def quieten_prefect() -> None:
    """No telemetry, and nothing on the terminal: the runs' logs are on their Prefect pages."""
    os.environ |= without_telemetry()
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
