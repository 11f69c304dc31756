"""Keeps the tag of a run off its tasks, for the sake of processes that live long."""

import contextlib
from collections.abc import Iterator

from prefect.context import TagsContext

TAG = "corpusmith"


@contextlib.contextmanager
def tagged_as_all() -> Iterator[None]:
    """Tasks that begin in this block bear the one tag that tasks of all runs bear.

    A task asks Prefect for the concurrency limits of its tags, and for each set of tags that there
    ever was Prefect keeps a thread and a connection as long as the process lives. The run's own
    tag, which its flow runs bear, would make that one more with every run.
    """
    with TagsContext(current_tags={TAG}):
        yield
