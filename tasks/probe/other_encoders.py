"""The probes of other encoders that the user names, to set beside this one's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import ArtifactError, RequestError
from tasks.named_artifacts import named_artifacts
from tasks.probe.basis import Basis, basis_of
from tasks.probe.table import HEADS, LAYERS, SCHEMA, Row
from tasks.store.artifact import Artifact
from tasks.store.store import Store

SETTING = "probe.compare_with"


@dataclass(frozen=True, kw_only=True)
class Probed:
    """An encoder's numbers and what they were taken on.

    Attributes:
        name: in tables: ``this``, or ``other_`` and the first digits of the artifact's input_id.
        layers: rows of layers.
        heads: rows of heads.
        basis: what they were taken on.
    """

    name: str
    layers: list[Row]
    heads: list[Row]
    basis: Basis

    @property
    def num_layers(self) -> int:
        """Layers above the embeddings."""
        return max(row.layer for row in self.layers)

    @property
    def num_heads(self) -> int:
        """Heads of a layer."""
        return 1 + max((row.head or 0 for row in self.heads), default=0)


@dataclass(frozen=True)
class OtherEncoder:
    """A finished probe of another run, its files not read yet.

    Attributes:
        name: in the tables.
        store: of its workspace.
        probe: what its manifest says.
    """

    name: str
    store: Store
    probe: Artifact

    @property
    def identity(self) -> dict[str, str]:
        """What it is and was made from, wherever it lies."""
        own = {"input_id": self.probe.ref.input_id, "content_id": self.probe.ref.content_id}
        return own | contents_of(self.probe)

    def read(self) -> Probed:
        """Its numbers, every byte of its files verified.

        Raises:
            ArtifactError: it is damaged, or its tables are of another format.
        """
        folder = self.store.resolve(self.probe.ref).path
        identity = self.probe.manifest.identity
        return Probed(
            name=self.name,
            layers=read_rows(folder / LAYERS),
            heads=read_rows(folder / HEADS),
            basis=basis_of(contents_of(self.probe), identity.settings, identity.sources),
        )


def other_encoders(folders: Sequence[str], *, version: int) -> list[OtherEncoder]:
    """The probes in these folders, ``<workspace>/artifacts/probe/<input_id>`` each; only manifests
    are read.

    Args:
        folders: paths.
        version: of the probe stage; that of another has other measures under the same names.

    Raises:
        RequestError: a folder is missing, no probe or one of another version, or two would have
            one name.
        ArtifactError: a manifest is damaged.
    """
    named = named_artifacts(folders, stage="probe", what="probe of an encoder", setting=SETTING)
    for one in named.values():
        found = one.artifact.manifest.identity.version
        if found != version:
            raise RequestError(
                f"{SETTING}: {one.folder} was made by version {found} of probe, this is version "
                f"{version} and measures otherwise; run probe again in "
                f"{one.store.workspace.path} with the same corpusmith"
            )
    return [OtherEncoder(name, one.store, one.artifact) for name, one in named.items()]


def contents_of(artifact: Artifact) -> dict[str, str]:
    """The content_id of each artifact that it was made from, by stage."""
    return {name: entry.content_id for name, entry in artifact.manifest.inputs.items()}


def read_rows(path: Path) -> list[Row]:
    """The rows of a table that `tasks.probe.table.write_rows` wrote.

    Raises:
        ArtifactError: there is none, or it is of another format.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{SETTING}: {path} cannot be read ({reason}); run probe again there"
        ) from None
    if not table.schema.equals(SCHEMA):
        raise ArtifactError(
            f"{SETTING}: {path} has other columns than this corpusmith writes; run probe again "
            "there with the same corpusmith"
        )
    return [Row(**values) for values in table.to_pylist()]
