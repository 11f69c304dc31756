"""Starts the services of `deployments/compose.yaml` on this machine, without containers.

Commands, environments, health checks and order are those of the file; only places are others:
every host is loopback, every port a free one, every volume a folder. PostgreSQL comes from the
system's packages. What the images' own entrypoints do is not tried here.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from flows import tether
from flows.local_server import LOOPBACK, free_port
from tests.contracts.code import ROOT
from tests.deployments.compose_file import COMPOSE, Service, read_services
from tests.flows.chain import plain

START_S = 240.0
STOP_S = 60.0
LOOK_S = 1.0  # each look is a program that starts
DATA = "/var/lib/postgresql/data"
SCRIPTS = "/docker-entrypoint-initdb.d/"
SUPERUSER = "postgres"

# What a container has on its PATH is run by the interpreter of these tests.
MODULES = {"prefect": ["-m", "prefect"], "mlflow": ["-m", "mlflow"], "corpusmith": ["-m", "flows"]}
PROGRAMS = {"python": [], **MODULES}


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version; None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def why_not() -> str | None:
    """What this machine lacks for the servers; None where nothing is missing."""
    if postgres_programs() is None:
        return "no PostgreSQL: apt-get install postgresql"
    if os.geteuid() == 0 and not _as_superuser():
        return "PostgreSQL refuses root, and there is no user postgres or no setpriv"
    for module in ("flask_wtf", "psycopg"):
        if not _is_installed(module):
            return f"no {module}: pip install --constraint constraints.txt '.[server]'"
    return None


class Stack:
    """The services, their folders and their processes. Nothing is started by making one.

    Attributes:
        folder: holds a folder for each volume, and a log for each service.
        services: by name, as the file describes them.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`environment` has what the file's variables stand for: secrets, the folder of texts."""
        self.folder = folder
        self.services = read_services(environment)
        self._ports = {
            (name, port): str(free_port())
            for name, service in self.services.items()
            for port in service.ports
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._done: set[str] = set()  # of those that run once, before others start
        # Another user's: pytest's own folders are closed to that one.
        self._data = Path(tempfile.mkdtemp(prefix="corpusmith-postgres-"))
        for program, words in PROGRAMS.items():
            self._make_program(program, words)

    def start(self, *names: str, more: Mapping[str, str] | None = None) -> None:
        """Start services and what they need, in order; return when all of them are healthy.

        `more` is added to the environment of those that are named.
        """
        for name in names:
            self._begin(name, more or {})
        for name in names:
            self._wait(name)

    def run(self, name: str, more: Mapping[str, str] | None = None) -> str:
        """Run a service that ends by itself, after what it needs; returns what it printed."""
        self.start(*self.services[name].needs)
        done = _run(self._command(name), self.environment(name) | dict(more or {}))
        if done.returncode:
            raise AssertionError(f"{name} ended with {done.returncode}: {done.stderr[-4000:]}")
        self._done.add(name)
        return done.stdout

    def stop(self, *names: str) -> None:
        """Stop services as containers are stopped, PostgreSQL after the others; none named: all."""
        asked = [name for name in names or tuple(self._processes) if name in self._processes]
        for group in ([name for name in asked if name != "postgres"], ["postgres"]):
            stopping = [name for name in group if name in asked]
            family = {name: self._told_to_stop(name) for name in stopping}
            for name in stopping:
                _end(self._processes.pop(name), family[name])

    def kill(self, name: str) -> None:
        """End all processes of a service at once, as a machine that loses power does."""
        process = self._processes.pop(name)
        for each in psutil.Process(process.pid).children(recursive=True):
            each.kill()
        process.kill()
        process.wait()

    def _told_to_stop(self, name: str) -> list[psutil.Process]:
        """All processes of a service, the first of which has been told to stop."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended by itself
            family = psutil.Process(self._processes[name].pid).children(recursive=True)
        for process in family[:1]:
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        return family

    def close(self) -> None:
        """Stop everything and remove the database."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)

    def empty_volumes(self) -> None:
        """What ``docker compose down --volumes`` does: everything is gone."""
        self.stop()
        for place in (self._data, self.volume("mlflow"), self.volume("workspace")):
            shutil.rmtree(place)
        self._data.mkdir()
        self._done.clear()

    def volume(self, name: str) -> Path:
        """The folder that stands for a volume."""
        place = self._data if name == "postgres" else self.folder / name
        place.mkdir(exist_ok=True)
        return place

    def log(self, name: str) -> Path:
        """What the service has printed."""
        return self.folder / f"{name}.log"

    def process(self, name: str) -> psutil.Process:
        """The service's own process, for tests that do harm to it.

        Of a worker it is a shell, whose child is Prefect's worker, whose children are runs.
        """
        [process] = psutil.Process(self._processes[name].pid).children()
        return process

    def address(self, name: str) -> str:
        """``HOST:PORT`` of a service that listens on one port."""
        [port] = self.services[name].ports
        return f"{LOOPBACK}:{self._ports[name, port]}"

    def client(self) -> dict[str, str]:
        """The variables that a run of flows has on a worker."""
        return self._variables(self.services["deploy"])

    def environment(self, name: str) -> dict[str, str]:
        """All variables of a service's process."""
        kept = {
            key: value
            for key, value in plain().items()
            if not key.startswith(("PG", "CORPUSMITH")) and key != "PYTHONPATH"
        }
        home = self.volume("home")
        own = self._variables(self.services[name])
        places = [str(self.volume("bin")), str(postgres_programs()), kept.get("PATH", "")]
        path = os.pathsep.join(places)
        return kept | {"HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT)} | own

    def _make_program(self, name: str, words: Sequence[str]) -> None:
        program = self.volume("bin") / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, *words])} "$@"\n')
        program.chmod(0o755)

    def _begin(self, name: str, more: Mapping[str, str]) -> None:
        service = self.services[name]
        running = self._processes.get(name)
        if running and running.poll() is None:
            return
        for need in service.needs:
            if self.services[need].health:
                self.start(need)
            elif need not in self._done:
                self.run(need)
        is_new = name == "postgres" and not any(self._data.iterdir())
        if is_new:
            self._set_up_database()
        self._launch(name, more)
        if is_new:
            self._wait(name)
            self._run_scripts()

    def _launch(self, name: str, more: Mapping[str, str]) -> None:
        with self.log(name).open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, *self._command(name)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self.environment(name) | dict(more),
                cwd=self.volume("home"),
                start_new_session=True,
            )

    def _wait(self, name: str) -> None:
        service = self.services[name]
        check = self._words(service, service.health)
        deadline_s = time.monotonic() + START_S
        while _run(check, self.environment(name)).returncode:
            ended = self._processes[name].poll() is not None
            if ended or time.monotonic() > deadline_s:
                log = self.log(name).read_text("utf-8", "replace")[-4000:]
                raise AssertionError(f"{name} {'ended' if ended else 'is not healthy'}: {log}")
            time.sleep(LOOK_S)

    def _command(self, name: str) -> list[str]:
        service = self.services[name]
        words = self._words(service, service.command)
        if name != "postgres":
            return words
        address = ["-c", f"listen_addresses={LOOPBACK}", "-p", self._ports[name, "5432"]]
        return [*_as_superuser(), *words, "-D", str(self._data), "-k", str(self._data), *address]

    def _words(self, service: Service, words: Sequence[str]) -> list[str]:
        return [self._here(service, word) for word in words]

    def _here(self, service: Service, text: str) -> str:
        """A word of the file as it has to be on this machine."""
        for (name, port), here in self._ports.items():
            text = text.replace(f"{name}:{port}", f"{LOOPBACK}:{here}")
            if name == service.name or port not in service.ports:
                for host in (LOOPBACK, "localhost"):
                    text = text.replace(f"{host}:{port}", f"{host}:{here}")
                text = here if text == port else text
        text = LOOPBACK if text == "0.0.0.0" else text
        for place, source in service.mounts.items():
            pattern = rf"(?<![\w./-]){re.escape(place)}(?![\w-])"
            text = re.sub(pattern, str(self._source(source)), text)
        return text

    def _variables(self, service: Service) -> dict[str, str]:
        """A service's own variables, as they have to be on this machine."""
        return {
            key: LOOPBACK
            if key.endswith("HOST") and value in self.services
            else self._here(service, value)
            for key, value in service.environment.items()
        }

    def _source(self, source: str) -> Path:
        """Where a mount's content lies: a volume's folder, or a path beside the file."""
        if source.startswith(("/", ".")):
            return (COMPOSE.parent / source).resolve()
        return self.volume(source)

    def _set_up_database(self) -> None:
        """What PostgreSQL's image does in an empty volume, with the same settings."""
        service = self.services["postgres"]
        if os.geteuid() == 0:
            shutil.chown(self._data, SUPERUSER, SUPERUSER)
        with tempfile.NamedTemporaryFile("w") as password:
            password.write(service.environment["POSTGRES_PASSWORD"])
            password.flush()
            if os.geteuid() == 0:
                shutil.chown(password.name, SUPERUSER)
            options = ["--username", service.environment["POSTGRES_USER"], "--no-sync"]
            more = service.environment["POSTGRES_INITDB_ARGS"].split()
            place = ["--pgdata", str(self._data), "--pwfile", password.name]
            command = [*_as_superuser(), "initdb", *options, *place, *more]
            _run(command, self.environment("postgres"), cwd=self._data).check_returncode()

    def _run_scripts(self) -> None:
        service = self.services["postgres"]
        for place, source in service.mounts.items():
            if place.startswith(SCRIPTS):
                password = {"PGPASSWORD": service.environment["POSTGRES_PASSWORD"]}
                at = f"postgresql://{SUPERUSER}@{self.address('postgres')}/postgres"
                command = ["psql", "--quiet", "--no-psqlrc", "--file", str(self._source(source))]
                _run([*command, at], self.environment("postgres") | password).check_returncode()


def _run(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.parts[-3]))


def _as_superuser() -> list[str]:
    """What makes a command run as the user that PostgreSQL accepts; nothing unless we are root."""
    if os.geteuid() != 0:
        return []
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(SUPERUSER)
        if shutil.which("setpriv"):
            who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            return ["setpriv", *who, "--"]
    return []


def _end(process: "subprocess.Popen[bytes]", family: Sequence[psutil.Process]) -> None:
    """Wait until a service has stopped, and kill what is left of it, as a container's end does."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    if process.stdin:
        process.stdin.close()
    process.wait()
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
