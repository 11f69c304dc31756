"""Counts documents where the encoder counts windows."""

from tasks.progress import Progress


class WindowProgress:
    """Turns finished windows of one shard into finished documents of all."""

    def __init__(self, progress: Progress, num_documents: int, num_windows: int) -> None:
        self._progress = progress
        self._num_documents = num_documents
        self._num_windows = num_windows
        self._windows_done = 0
        self._documents_done = 0

    def add_windows(self, num_windows: int) -> None:
        """Say that so many more windows are encoded."""
        self._windows_done += num_windows
        documents_done = self._num_documents * self._windows_done // self._num_windows
        self._progress.add(documents_done - self._documents_done)
        self._documents_done = documents_done
