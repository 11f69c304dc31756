"""Lets processes notice that the one that started them is gone, in whatever way it ended.

The starter holds the writing end of their standard input. When that end closes, because the
starter wants an end or because it died, SIGKILL included, they come to an end too.
"""

import os
import threading
import time

TETHER = "CORPUSMITH_TETHER"  # set to 1 for processes whose standard input is such a pipe


def starter_is_gone(grace_s: float) -> threading.Event:
    """An event that is set when the starter closes its end; never where there is no tether.

    Args:
        grace_s: seconds this process has from then on; after that it is ended without ado.
    """
    gone = threading.Event()
    if os.environ.get(TETHER) == "1":
        threading.Thread(target=_watch, args=(gone, grace_s), daemon=True).start()
    return gone


def _watch(gone: threading.Event, grace_s: float) -> None:
    # Not through sys.stdin: a thread that blocks in it makes the interpreter abort at its end.
    while os.read(0, 1):
        pass
    gone.set()
    time.sleep(grace_s)
    os._exit(0)  # the main thread may hang in an exchange with others that are gone
