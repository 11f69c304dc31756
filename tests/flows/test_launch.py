"""What a run does before its flows begin."""

import subprocess
import sys

# SIGTERM arrives in the middle of numpy's import, as it may at the start of any run.
PROGRAM = """
import importlib.abc, os, signal, sys

class Sender(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy.matrixlib":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGTERM)

class Terminated(BaseException):
    pass

def terminate(*_):
    raise Terminated

from flows import launch
assert "numpy" not in sys.modules
signal.signal(signal.SIGTERM, terminate)
sys.meta_path.insert(0, Sender())
try:
    launch._load_numpy()
    print("was not stopped")
except Terminated:
    print("numpy" in sys.modules)  # from which a module goes whose import fails
"""


def test_sigterm_leaves_no_half_numpy_to_the_thread_that_loads_mlflow() -> None:
    command = [sys.executable, "-c", PROGRAM]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "True\n"
