"""What can go wrong between the store and a disk that others share."""

from model.errors import ArtifactError, CorpusmithError


class FormatError(ArtifactError):
    """Written by a newer corpusmith; it is whole, but this version cannot read it."""


class UnreadableError(ArtifactError):
    """An artifact may be whole, but this process is not allowed to read it."""


class NondeterminismError(ArtifactError):
    """The same request gave another result than the one that is committed."""


class LeaseLostError(CorpusmithError):
    """Another process took the work over while this one stood still."""


class DiskFullError(CorpusmithError):
    """A disk, a quota or a file size limit is exhausted; what was finished is kept."""


class StorageError(CorpusmithError):
    """The object storage of a workspace cannot be reached, or fails."""


class StorageRefusedError(StorageError):
    """The object storage of a workspace does not let us in, or there is no such bucket."""
