"""Probes of other encoders: found, identified and read, or refused in one line."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import ArtifactError, RequestError
from tasks.probe.config import ProbeConfig
from tasks.probe.other_encoders import other_encoders, read_rows
from tasks.probe.stage import PROBE
from tasks.probe.table import write_rows
from tests.tasks.probe.probed import CONTENTS, TASK, TREEBANK, probed, rows_of, write_probe

ONE = probed("this", rows_of(TASK, [0.5, 0.9]), rows_of(TASK, [0.4, 0.8], seed=1))
VERSION = PROBE.version


def config(*folders: Path | str) -> ProbeConfig:
    return ProbeConfig.model_validate({"compare_with": list(map(str, folders))})


def test_a_probe_is_read_back_as_it_was_with_what_it_was_taken_on(tmp_path: Path) -> None:
    made = write_probe(tmp_path / "there", ONE, sources=TREEBANK)
    [other] = other_encoders([str(made.path)], version=VERSION)
    found = other.read()
    assert found.name == f"other_{made.ref.input_id[:8]}"
    assert (found.layers, found.heads) == (ONE.layers, ONE.heads)
    assert (found.num_layers, found.num_heads) == (1, 2)
    assert found.basis.contents == CONTENTS
    assert found.basis.treebank == tuple(map(tuple, TREEBANK))


def test_its_content_is_the_stages_source_wherever_it_lies(tmp_path: Path) -> None:
    assert PROBE.sources is not None
    made = write_probe(tmp_path / "there", ONE)
    assert config(made.path).identity() == ProbeConfig().identity()
    before = PROBE.sources(config(made.path))
    [identity] = before["compare_with"].values()
    assert identity["content_id"] == made.ref.content_id
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    assert PROBE.sources(config(tmp_path / "elsewhere" / made.ref.path)) == before


def test_what_is_no_probe_is_refused_by_name_before_any_work(tmp_path: Path) -> None:
    assert PROBE.sources is not None
    made = write_probe(tmp_path / "there", ONE)
    copied = shutil.copytree(made.path, tmp_path / "copied")
    for folder in (copied, tmp_path):
        with pytest.raises(RequestError, match=rf"compare_with: {folder} is no probe of an enc"):
            PROBE.sources(config(folder))
    with pytest.raises(RequestError, match=r"probe\.compare_with: /nowhere is no folder"):
        PROBE.sources(config("/nowhere"))
    with pytest.raises(RequestError, match="would both be named other_"):
        PROBE.sources(config(made.path, made.path))


def test_another_version_of_the_measures_is_refused_in_one_line(tmp_path: Path) -> None:
    made = write_probe(tmp_path / "there", ONE, version=VERSION - 1)
    with pytest.raises(RequestError, match=f"by version {VERSION - 1} of probe") as caught:
        other_encoders([str(made.path)], version=VERSION)
    assert "\n" not in str(caught.value)


def test_damage_is_refused(tmp_path: Path) -> None:
    made = write_probe(tmp_path / "there", ONE)
    [other] = other_encoders([str(made.path)], version=VERSION)
    with (made.path / "heads.parquet").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ArtifactError, match=r"heads\.parquet"):
        other.read()


def test_tables_of_another_format_are_refused(tmp_path: Path) -> None:
    write_rows(ONE.layers, tmp_path / "layers.parquet")
    assert read_rows(tmp_path / "layers.parquet") == ONE.layers
    pq.write_table(pa.table({"measure": ["anisotropy"]}), tmp_path / "layers.parquet")
    with pytest.raises(ArtifactError, match="other columns than this corpusmith writes"):
        read_rows(tmp_path / "layers.parquet")
    (tmp_path / "layers.parquet").write_bytes(b"no table")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_rows(tmp_path / "layers.parquet")
