"""What may go wrong without harm: pages, messages and aliases of other programs."""

import contextlib
from collections.abc import Callable, Iterator

from tasks.redaction import without_secrets


@contextlib.contextmanager
def harmless(says: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Turns whatever goes wrong in the block into one warning line."""
    try:
        yield
    except Exception as error:  # of Prefect, MLflow or the network: no reason to end a run
        first = without_secrets(str(error).strip().split("\n", 1)[0])
        warn(f"{says}: {type(error).__name__}: {first}"[:300])
