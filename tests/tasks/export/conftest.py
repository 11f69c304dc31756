"""What the stage reads, made once a file of tests."""

import pytest

from tasks.store.artifact import Artifact
from tests.tasks.export.exports import RECORDS, chain


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return chain(tmp_path_factory.mktemp("chain"), RECORDS, documents_per_shard=2)
