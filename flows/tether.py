"""Runs a server that cannot outlive whoever started it: ``python tether.py COMMAND...``.

The starter holds the other end of this process's standard input. When that end closes, because
the starter asked for it or because it died in whatever way, SIGKILL included, the server and
everything it started are ended. Only the standard library is used, so that this starts at once.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE_S = 5.0  # for the server to shut down in order before it is killed


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input closes; returns its exit status."""
    # A session of its own: the keyboard's Ctrl-C reaches the starter only, which then decides.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: end(server))
    threading.Thread(target=_end_with_starter, args=(server,), daemon=True).start()
    status = server.wait()
    _signal_group(server, signal.SIGKILL)  # children it may have left
    return status


def end(server: "subprocess.Popen[bytes]") -> None:
    """Ask the server's process group to stop, and after a while make it."""
    _signal_group(server, signal.SIGTERM)
    killer = threading.Timer(GRACE_S, _signal_group, (server, signal.SIGKILL))
    killer.daemon = True
    killer.start()


def _end_with_starter(server: "subprocess.Popen[bytes]") -> None:
    # Not through sys.stdin: a thread that blocks in it makes the interpreter abort at its end.
    while os.read(0, 1):
        pass
    end(server)  # the starter's end is closed


def _signal_group(server: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    # The group may be empty by now.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
