"""Keeps all tags off tasks, for the sake of work that goes on while Prefect's API is away."""

import contextlib
from collections.abc import Iterator

from prefect.context import TagsContext


@contextlib.contextmanager
def untagged() -> Iterator[None]:
    """Tasks that begin in this block bear no tags, not even their run's.

    A task with tags asks Prefect's API for their concurrency limits before it begins, and fails
    where that does not answer: the one call of a task that work would wait for. And for each set
    of tags that there ever was Prefect keeps a thread and a connection.
    """
    with TagsContext(current_tags=set()):
        yield
