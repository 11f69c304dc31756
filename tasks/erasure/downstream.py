"""Finds what was made of corpora: every artifact downstream of them, by the manifests."""

from collections.abc import Iterable, Sequence, Set

from tasks.store.artifact import Artifact
from tasks.store.identity import stage_of_input

Key = tuple[str, str]


def key_of(artifact: Artifact) -> Key:
    """Stage and request."""
    return artifact.ref.stage, artifact.ref.input_id


def inputs_of(artifact: Artifact) -> list[Key]:
    """Stage and request of each artifact that it was made of."""
    inputs = artifact.manifest.identity.inputs
    return [(stage_of_input(name), input_id) for name, input_id in inputs.items()]


def downstream_of(artifacts: Sequence[Artifact], corpora: Iterable[Key]) -> Set[Key]:
    """Stage and request of the corpora and of all that was made of them."""
    reached = set(corpora)
    while True:
        more = {key_of(each) for each in artifacts if reached.intersection(inputs_of(each))}
        if more <= reached:
            return reached
        reached |= more
