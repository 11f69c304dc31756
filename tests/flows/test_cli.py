"""The command line's statuses and streams, as a shell sees them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import TERMINATED, exit_status, main


def corpusmith(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    [line] = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "{tmp}/missing.txt"], "missing.txt"),
        (["run", "--pretrain.max-step", "3"], "did you mean pretrain.max_steps"),
        (["run", "--pretrain.max-steps", "-1"], "pretrain.max_steps"),
        (["run", "--config", "{tmp}/none.toml"], "neither a preset nor a file"),
        (["run", "--workspace", "{tmp}/file"], "file"),
        (["run", "--workspace", "s3://bucket/there"], "s3"),
        (["search", "words", "--workspace", "{tmp}/nowhere"], "nowhere"),
        (["fly"], "fly"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_request_exits_with_2_and_one_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    where = ["--workspace", str(tmp_path / "w")] if "--workspace" not in arguments else []
    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    done = corpusmith(*filled, *(where if arguments[:1] == ["run"] else []))
    assert done.returncode == 2
    assert says in one_line(done)
    assert done.stdout == ""
    assert not (tmp_path / "w" / "artifacts").exists() or not any(
        (tmp_path / "w" / "artifacts").iterdir()
    )


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = corpusmith("run", str(tmp_path / "missing"), "--workspace", str(tmp_path), "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_newer_workspace_is_refused(tmp_path: Path) -> None:
    assert corpusmith("status", "--workspace", str(tmp_path)).returncode == 2
    (tmp_path / "workspace.json").write_text(json.dumps({"format_version": 99}))
    done = corpusmith("run", "--workspace", str(tmp_path))
    assert done.returncode == 2
    assert "99" in one_line(done)


SPEAKER = """
import subprocess
from flows.cli import stdout_for_answer
with stdout_for_answer() as stdout:
    print("a library speaks")
    subprocess.run(["echo", "a child speaks"], check=True)
    stdout.write("{}\\n")
print("afterwards")
"""


def test_only_the_answer_reaches_stdout() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAKER], capture_output=True, text=True)
    assert done.stdout == "{}\nafterwards\n"
    assert sorted(done.stderr.splitlines()) == ["a child speaks", "a library speaks"]


def test_a_dynamic_number_of_threads_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer threads than they ask for, torch's CPU kernels gave gradients that are NaN."""
    monkeypatch.setattr("flows.cli.signal.signal", lambda *_: None)  # pytest keeps its own
    monkeypatch.setenv("OMP_DYNAMIC", "TRUE")
    assert main(["run", "--nonsense"]) == 2
    assert os.environ["OMP_DYNAMIC"] == "FALSE"


def test_a_second_sigterm_does_not_interrupt_what_the_first_has_begun(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cleared = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleared.append(True)

    before = signal.getsignal(signal.SIGTERM)
    try:
        assert exit_status(work) == TERMINATED
    finally:
        signal.signal(signal.SIGTERM, before)
    assert cleared
    assert capsys.readouterr().err.count("\n") == 1
