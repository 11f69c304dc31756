"""Errors of sources that cannot be read as they were found."""

from model.errors import CorpusError


class SourceChangedError(CorpusError):
    """A source file was written to, replaced or deleted while it was being read."""


class SourceUnreachableError(CorpusError):
    """A remote file is there, but its server or the way to it failed."""
