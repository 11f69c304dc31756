"""Whatever a disk does to a file, it is found by name and made again or refused, never used."""

import json
import random
import re
import shutil
import signal
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.graph import STAGE_NAMES, StageName
from model.errors import ArtifactError
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.errors import FormatError
from tasks.store.manifest import MANIFEST_NAME
from tests.faults.changes import changes_of, done_apart, ended_at
from tests.faults.damage import ALL, Damage, add, flip, of_a_newer_format, put, remove, sealed
from tests.faults.outcomes import as_command, committed, lacking, line_in
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table

NUM_FILES_OF_A_KIND = 2  # of each stage, by the name's ending
NUM_DAMAGES = 24  # to what an attempt has left, of each stage

# After so much of the stage's changes an attempt has left something to go on from.
LEFT_AT: dict[StageName, str] = {
    "ingest": r"open staging/.*corpus\.json",
    "tokenize": r"open staging/.*tokens\.json",
    "pretrain": r"open staging/.*checkpoints/\.writing-step-\d+/state\.json",
    "tune": r"open staging/.*checkpoints/\.writing-step-\d+/state\.json",
    "export": r"open staging/.*dataset\.json",
}


def sampled(artifact: Artifact, chance: random.Random) -> list[str]:
    """Some files of each kind, none of them empty."""
    kinds: dict[str, list[str]] = {}
    for file in artifact.manifest.files:
        if file.bytes:
            kinds.setdefault(Path(file.name).suffix, []).append(file.name)
    return [
        name
        for names in kinds.values()
        for name in chance.sample(names, min(NUM_FILES_OF_A_KIND, len(names)))
    ]


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_damaged_artifact_is_named_and_made_again(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    chance = random.Random(stage)
    [unbroken] = store_of(whole).artifacts(stage)
    damages = [(name, damage) for name in sampled(unbroken, chance) for damage in ALL]
    for number, (name, damage) in enumerate(damages):
        folder = without(whole, tmp_path / str(number), set())
        store, place = store_of(folder), folder / unbroken.ref.path
        damage(place / name, chance)
        wrong = f"more-{Path(name).name}" if damage is add else name
        assert wrong in " ".join(store.verify_all()), (name, damage)
        with pytest.raises(ArtifactError, match=re.escape(wrong)):
            store.resolve(unbroken.ref)
        inputs = refs_of(unbroken, whole)
        assert store.find(unbroken.manifest.identity, inputs) is None
        assert not place.exists()
        [reason] = folder.glob(f"quarantine/{stage}/*.reason.json")
        assert wrong in reason.read_text("utf-8")
        if number == 0:
            assert done_apart(partial(run_stage, stage, corpus, folder)) == 0
            assert committed(folder, stage) == [unbroken.ref.content_id]
        shutil.rmtree(folder)
    table.add(f"{len(damages)} damages to the artifact's files", stage, "named, made again")


# Files of the artifact that are not made again when another of them, the last, is damaged.
STAY: list[tuple[StageName, str, str]] = [
    ("pretrain", "checkpoints/step-*/*", "model.safetensors"),
    ("pretrain", "checkpoints/step-00000002/*", "checkpoints/step-00000004/state.json"),
    ("tune", "checkpoints/step-*/*", "model.safetensors"),
    ("tune", "checkpoints/step-00000001/*", "checkpoints/step-00000002/config.json"),
    ("export", "part-*.parquet", "part-00001.parquet"),
]


@pytest.mark.faults
@pytest.mark.parametrize(("stage", "pattern", "name"), STAY)
@pytest.mark.parametrize("damage", [flip, remove])
def test_only_what_is_damaged_is_made_again(
    stage: StageName,
    pattern: str,
    name: str,
    damage: Damage,
    whole: Path,
    corpus: Path,
    tmp_path: Path,
    table: Table,
) -> None:
    [unbroken] = store_of(whole).artifacts(stage)
    folder = shutil.copytree(whole, tmp_path / "work")  # of its own, since files are moved
    place = folder / unbroken.ref.path
    there = [path for path in place.glob(pattern) if path.is_file() and path != place / name]
    kept = {path: path.stat().st_ino for path in there}
    assert len(kept) >= 4
    damage(place / name, random.Random(0))
    assert done_apart(partial(run_stage, stage, corpus, folder)) == 0
    assert committed(folder, stage) == [unbroken.ref.content_id]
    assert {path: path.stat().st_ino for path in there} == kept
    table.add(f"{damage.__name__} {name}", stage, f"made again; {len(kept)} others taken over")


def refs_of(artifact: Artifact, workspace: Path) -> dict[str, ArtifactRef]:
    """References to what an artifact was made from."""
    store = store_of(workspace)
    made_from = artifact.manifest.inputs.items()
    return {name: store.get(name, entry.input_id).ref for name, entry in made_from}


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_manifest_that_is_damaged_foreign_or_newer(
    stage: StageName, whole: Path, tmp_path: Path, table: Table
) -> None:
    store = store_of(whole)
    [unbroken] = store.artifacts(stage)
    other = next(each for each in store.artifacts() if each.ref.stage != stage)
    newer = json.loads((unbroken.path / MANIFEST_NAME).read_bytes()) | {"format_version": 2}
    cases = {
        "newer": sealed(newer),
        "foreign": (other.path / MANIFEST_NAME).read_bytes(),
        "truncated": (unbroken.path / MANIFEST_NAME).read_bytes()[:-20],
        "empty": b"",
        "no object": b"[]",
    }
    for name, content in cases.items():
        folder = without(whole, tmp_path / name, set())
        place = folder / unbroken.ref.path
        put(place / MANIFEST_NAME, content)
        with pytest.raises(ArtifactError, match=MANIFEST_NAME if name != "foreign" else "another"):
            store_of(folder).resolve(unbroken.ref)
        identity, inputs = unbroken.manifest.identity, refs_of(unbroken, whole)
        if name == "newer":
            with pytest.raises(FormatError, match="install a newer"):
                store_of(folder).find(identity, inputs)
            assert place.exists()
        else:
            assert store_of(folder).find(identity, inputs) is None
            assert not place.exists()
    table.add(f"{len(cases)} wrong manifests", stage, "named; of a newer format: refused and kept")


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", LEFT_AT)
def test_what_a_killed_attempt_left_is_not_used_where_it_is_damaged(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    chance = random.Random(stage)
    [unbroken] = store_of(whole).artifacts(stage)
    left = left_behind(stage, whole, corpus, tmp_path)
    names = [path.relative_to(left) for path in left.glob("staging/*/*/*/**/*") if path.is_file()]
    damages = [(name, damage) for name in sorted(names) for damage in ALL]
    chosen = chance.sample(damages, min(NUM_DAMAGES, len(damages)))
    for number, (name, damage) in enumerate(chosen):
        folder = shutil.copytree(left, tmp_path / str(number))
        if (folder / name).stat().st_size:
            damage(folder / name, chance)
        said = tmp_path / "said"
        if done_apart(as_command(partial(run_stage, stage, corpus, folder), said)):
            assert re.search(r"/step-\d+, where tune was best, was damaged", line_in(said)), name
            assert committed(folder, stage) == []
        else:
            assert not lacking(folder, unbroken, name), (name, damage)
        shutil.rmtree(folder)
    table.add(
        f"{len(chosen)} damages to what an attempt left", stage, "made again, left out or refused"
    )


def left_behind(stage: StageName, whole: Path, corpus: Path, folder: Path) -> Path:
    """A workspace in which an attempt at the stage died late."""
    recorded = without(whole, folder / "recorded", downstream_of(stage))
    changes = changes_of(recorded, partial(run_stage, stage, corpus, recorded))
    last = [name for name in changes if re.fullmatch(LEFT_AT[stage], name)][-1]
    left = without(whole, folder / "left", downstream_of(stage))
    killed = ended_at(last, left, partial(run_stage, stage, corpus, left))
    assert killed.status == -signal.SIGKILL
    return left


@pytest.mark.faults
def test_every_parquet_file_has_checksums_of_its_pages(
    whole: Path, tmp_path: Path, table: Table
) -> None:
    """Nothing else tells one wrong bit in what is not compressed."""
    paths = sorted(whole.glob("artifacts/**/*.parquet"))
    assert {path.relative_to(whole).parts[1] for path in paths} >= {"ingest", "probe", "export"}
    copy, num_columns = tmp_path / "copy.parquet", 0
    for path in paths:
        content = path.read_bytes()
        metadata = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                begin = column.dictionary_page_offset or column.data_page_offset
                last = begin + column.total_compressed_size - 1  # of its last page
                copy.write_bytes(content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :])
                with pytest.raises(OSError, match="CRC checksum verification failed"):
                    pq.read_table(copy, page_checksum_verification=True)
                num_columns += 1
    table.add(f"a bit in each of {num_columns} columns", "every Parquet file", "its page is named")


@pytest.mark.faults
def test_a_checkpoint_of_a_newer_format_is_refused(
    whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    left = left_behind("pretrain", whole, corpus, tmp_path)
    newest = max(left.glob("staging/*/*/*/checkpoints/step-*"))
    of_a_newer_format(newest)
    said = tmp_path / "said"
    assert done_apart(as_command(partial(run_stage, "pretrain", corpus, left), said)) == 1
    assert re.search(r"state\.json has format 99, this version reads", line_in(said))
    assert committed(left, "pretrain") == []
    table.add("a checkpoint of a newer format", "pretrain", "refused by name")
