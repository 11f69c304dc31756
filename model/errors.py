"""The errors a user can cause, under one base.

Each message is one line: what is wrong, where, and what to do about it.
"""


class CorpusmithError(ValueError):
    """A failure whose message is meant for the user; the command line exits with 1."""


class RequestError(CorpusmithError):
    """The request was wrong and that was knowable before reading content; exits with 2."""


class CorpusError(CorpusmithError):
    """The text itself cannot serve: empty, all quarantined, or too small for what was asked."""


class ArtifactError(CorpusmithError):
    """An artifact, checkpoint or table on disk is damaged, foreign or of another format."""


class TrainingError(CorpusmithError):
    """Training cannot go on, such as a loss that is no longer finite."""
