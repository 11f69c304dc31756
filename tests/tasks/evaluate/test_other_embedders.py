"""Embedders of other runs: found with their corpora by their manifests, or refused in one line."""

import shutil
from pathlib import Path

import pytest

from model.errors import ArtifactError, RequestError
from tasks.evaluate.other_embedders import other_embedders
from tasks.store.artifact import Artifact
from tests.tasks.evaluate.other_runs import commit, other_run

DOCUMENTS = [
    {"doc_id": str(number), "text": f"text {number}", "split": split}
    for number, split in enumerate(["train", "validation", "test"])
]


@pytest.fixture
def run(tmp_path: Path) -> tuple[Artifact, Artifact]:
    return other_run(tmp_path / "there", DOCUMENTS)


def test_an_embedder_is_found_with_the_corpus_it_was_made_from(
    run: tuple[Artifact, Artifact],
) -> None:
    corpus, embedder = run
    [other] = other_embedders([str(embedder.path)])
    assert other.name == f"other_{embedder.ref.input_id[:8]}"
    assert (other.embedder, other.corpus) == (embedder.ref, corpus.ref)
    assert other.folders() == (embedder.path, corpus.path)
    assert other_embedders([]) == []


def test_it_is_identified_by_contents_wherever_it_lies(
    run: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    corpus, embedder = run
    [before] = other_embedders([str(embedder.path)])
    assert before.identity == {
        "embedder": embedder.ref.content_id,
        "corpus": corpus.ref.content_id,
    }
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere" / embedder.ref.path)
    [after] = other_embedders([str(link)])
    assert (after.name, after.identity) == (before.name, before.identity)
    _, others_embedder = other_run(tmp_path / "third", DOCUMENTS, seed=2)
    [third] = other_embedders([str(others_embedder.path)])
    assert third.identity["embedder"] != before.identity["embedder"]


def test_what_is_no_embedder_of_a_workspace_is_refused(
    run: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    corpus, embedder = run
    with pytest.raises(RequestError, match=r"evaluate\.compare_with: /nowhere is no folder"):
        other_embedders(["/nowhere"])
    copied = shutil.copytree(embedder.path, tmp_path / "copied")
    for folder in (corpus.path, copied, tmp_path):
        with pytest.raises(RequestError, match=r"no embedder that tune .*artifacts/tune/<id>"):
            other_embedders([str(folder)])
    (embedder.path / "MANIFEST.json").unlink()
    with pytest.raises(RequestError, match="no embedder that tune has finished"):
        other_embedders([str(embedder.path)])


def test_a_corpus_that_is_gone_is_refused_before_anything_is_read(
    run: tuple[Artifact, Artifact],
) -> None:
    corpus, embedder = run
    shutil.rmtree(corpus.path)
    with pytest.raises(RequestError, match=r"corpus of .* is gone from .*run ingest") as caught:
        other_embedders([str(embedder.path)])
    assert "\n" not in str(caught.value)


def test_another_corpus_in_its_place_is_refused(
    run: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    corpus, embedder = run
    shutil.rmtree(corpus.path)
    made = tmp_path / "made"
    made.mkdir()
    (made / "corpus.json").write_text("{}")
    again = commit(tmp_path / "there", made, "ingest", {}, {"num": len(DOCUMENTS)})
    assert again.path == corpus.path
    with pytest.raises(ArtifactError, match=r"is not the corpus that .* was made from"):
        other_embedders([str(embedder.path)])


def test_damage_is_refused(run: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    corpus, embedder = run
    [other] = other_embedders([str(embedder.path)])
    with (corpus.path / "corpus.json").open("a") as file:
        file.write(" ")
    with pytest.raises(ArtifactError, match="cannot be read from"):
        other.folders()
    manifest = embedder.path / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="truncated or damaged"):
        other_embedders([str(embedder.path)])


def test_an_embedder_that_names_no_corpus_is_refused(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "embedder.json").write_text("{}")
    embedder = commit(tmp_path / "there", made, "tune", {}, {})
    with pytest.raises(ArtifactError, match="names no corpus; run tune again"):
        other_embedders([str(embedder.path)])


def test_two_of_one_name_are_refused(run: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    _, embedder = run
    _, twin = other_run(tmp_path / "twin", DOCUMENTS)
    _, different = other_run(tmp_path / "different", DOCUMENTS, seed=2)
    assert len(other_embedders([str(embedder.path), str(different.path)])) == 2
    with pytest.raises(RequestError, match="would both be named other_"):
        other_embedders([str(embedder.path), str(twin.path)])
