"""Erasure in a workspace whose text went through the real stages: nothing is left, all goes on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from model.errors import RequestError
from tasks.erasure.erase import erase, plan_erasure
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.search import Searcher
from tasks.settings import StageConfig
from tasks.stage import Stage, StageContext
from tasks.store.erased import read_erased
from tasks.store.identity import explain_difference
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tokens import TokenizedCorpus
from tasks.tombstones import read_tombstones
from tests.tasks.erasure.traces import traces
from tests.tasks.erasure.workshop import CANARY, CHAIN, PHRASE, Workshop, files_of, records
from tests.tasks.store.making import flip_bit

PHRASES = (PHRASE, "canarius17 canarius18")


def left_of_canary(made: Workshop, root: Path) -> list[str]:
    ids = made.token_ids(CANARY)[40:72]
    return traces(root, phrases=PHRASES, token_ids=ids, vectors=[made.vector("canary")])


def test_the_search_for_traces_finds_them_all(made: Workshop) -> None:
    found = left_of_canary(made, made.root)
    for stage in ("ingest", "tokenize", "export", "evaluate"):
        assert [line for line in found if f"/{stage}/" in line], f"{stage}: {found}"
    assert [line for line in found if line.endswith("has token ids")]
    assert [line for line in found if line.endswith("has the vector as a row")]


def test_a_dry_run_tells_and_touches_nothing(workshop: Workshop) -> None:
    before = files_of(workshop)
    answer = plan_erasure(workshop.store, workshop.wish("canary"))
    assert (answer["erased"], answer["exact_twins"]) == (False, ["copy"])
    assert answer["near_duplicates"] == ["near"]
    assert {each["path"].split("/")[1] for each in answer["artifacts"]} == set(CHAIN)
    assert files_of(workshop) == before


def test_nothing_is_left_and_everything_goes_on(made: Workshop, workshop: Workshop) -> None:
    (workshop.root / "quarantine" / "ingest").mkdir(parents=True, exist_ok=True)
    shutil.copytree(workshop.path("ingest"), workshop.root / "quarantine" / "ingest" / "old-1")
    (workshop.root / "staging" / "ingest" / "f" / "000001-aa").mkdir(parents=True)
    (workshop.root / "staging/ingest/f/000001-aa/rows.arrow").write_text(CANARY)
    (workshop.root / "state" / "examples" / "run").mkdir(parents=True)
    (workshop.root / "state/examples/run/guesses.html").write_text(CANARY)
    (workshop.root / "state" / "search").mkdir()
    index = workshop.root / f"state/search/{workshop.refs['export'].content_id}.faiss"
    index.write_bytes(made.vector("canary").tobytes())
    num_rows = workshop.rows().num_rows

    receipt = erase(workshop.store, workshop.wish("canary", with_duplicates=True))

    assert left_of_canary(made, workshop.root) == []
    assert Store(Workspace.open(workshop.root)).verify_all() == []
    assert workshop.rows().num_rows == num_rows - 3
    ledger = workshop.ledger()
    assert len(ledger) == 43
    for doc_id in ("canary", "copy", "near"):
        assert ledger[doc_id] == {
            "doc_id": doc_id,
            "status": "dropped",
            "reason": "erased",
            "kept_doc_id": None,
        }
    corpus = json.loads((workshop.path("ingest") / "corpus.json").read_text())
    assert corpus["num_kept"] == sum(corpus["num_documents"].values()) == 40
    assert corpus["reasons"] == {"erased": 3}
    dataset = json.loads((workshop.path("export") / "dataset.json").read_text())
    assert (dataset["num_documents"], dataset["num_duplicates"]) == (40, 0)
    assert {each["path"] for each in receipt["artifacts"]} == {
        workshop.refs[stage].path for stage in CHAIN
    }
    assert CANARY not in Path(receipt["receipt"]).read_text()


def test_an_aligned_copy_of_the_vectors_loses_the_same_rows(
    made: Workshop, workshop: Workshop
) -> None:
    def copy(context: StageContext) -> dict[str, float]:
        for path in context.inputs["export"].path.glob("*.*"):
            if path.name != MANIFEST_NAME:
                shutil.copy(path, context.output / path.name)
        return {}

    workshop.make(Stage(name="align", version=1, upstream=("export",), run=copy), StageConfig())
    assert [line for line in left_of_canary(made, workshop.root) if "/align/" in line]
    erase(workshop.store, workshop.wish("canary", with_duplicates=True))
    assert left_of_canary(made, workshop.root) == []
    assert workshop.store.verify_all() == []


def test_models_that_learned_from_it_are_marked(workshop: Workshop) -> None:
    erase(workshop.store, workshop.wish("canary"))
    store = workshop.store
    marked = {each["path"] for each in store.erased(store.artifacts()) if each["learned"]}
    assert marked == {workshop.refs["vocab"].path, workshop.refs["tune"].path}
    chain = {link["stage"]: link for link in store.lineage(workshop.path("export"))}
    assert chain["tune"]["erased"] == {"num_documents": 2, "files": [], "learned": True}


def test_nobody_learned_from_a_document_of_the_test_split(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    documents = records()
    documents[25]["split"] = "test"
    workshop.write(documents)
    workshop.run()
    erase(workshop.store, workshop.wish("canary"))
    store = workshop.store
    assert not [each for each in store.erased(store.artifacts()) if each["learned"]]


def test_a_near_duplicate_that_stays_loses_the_vector_it_had_of_the_other(
    made: Workshop, workshop: Workshop
) -> None:
    receipt = erase(workshop.store, workshop.wish("canary"))
    assert receipt["near_duplicates"] == ["near"]
    assert not {"canary", "copy", "near"} & set(workshop.rows()["doc_id"].to_pylist())
    assert workshop.ledger()["near"]["reason"] == "twin_erased"
    workshop.run()  # it has its own one at the next export
    assert "near" in workshop.rows()["doc_id"].to_pylist()
    assert workshop.ledger()["near"]["status"] == "kept"
    assert not np.allclose(workshop.vector("near"), made.vector("canary"), atol=1e-6)


def test_ingest_heeds_the_tombstones(made: Workshop, workshop: Workshop) -> None:
    ids = {stage: ref.input_id for stage, ref in workshop.refs.items()}
    erase(workshop.store, workshop.wish("canary", with_duplicates=True))
    again = workshop.run()
    before, after = (
        workshop.store.get("ingest", input_id).manifest.identity
        for input_id in (ids["ingest"], again["ingest"].ref.input_id)
    )
    assert explain_difference(before, after) == ["ingest: documents were erased"]
    assert again["export"].metrics["num_reused"] == 40  # vectors of the erased dataset serve
    assert workshop.ledger()["canary"]["reason"] == "erased"
    assert workshop.run()["export"].reused
    # in another file, so that all is read anew, under another id and with an edited text
    edited = {"id": "canary", "text": "Something else entirely.", "split": "train"}
    renamed = {"id": "nobody", "text": CANARY, "split": "train"}
    workshop.write([*records(num_others=41), renamed, edited])
    workshop.run()
    ledger = workshop.ledger()
    assert ledger["canary"]["reason"] == ledger["nobody"]["reason"] == "erased"
    assert left_of_canary(made, workshop.root) == []


def test_an_erased_text_that_is_refused_for_another_reason_is_not_quoted(
    made: Workshop, workshop: Workshop
) -> None:
    erase(workshop.store, workshop.wish("canary", with_duplicates=True))
    longer = [each | {"text": " ".join([each["text"]] * 20)} for each in records()]
    short = {"id": "short", "text": "Of a few words.", "split": "train"}
    renamed = {"id": "nobody", "text": CANARY, "split": "train"}
    workshop.write([*longer, renamed, short])
    source = str(workshop.folder / "corpus.jsonl")
    config = IngestConfig(paths=[source], split_column="split", min_words=100)
    workshop.make(INGEST, config)
    ledger = workshop.ledger()
    assert ledger["short"]["reason"] == "too_few_words"
    assert ledger["nobody"]["reason"] == "erased"
    assert left_of_canary(made, workshop.root) == []


def test_a_workspace_without_erasures_keeps_its_ids(made: Workshop) -> None:
    assert read_tombstones(made.store.workspace).digest is None
    assert all(outcome.reused for outcome in made.run().values())


def test_what_was_made_still_serves(workshop: Workshop) -> None:
    erase(workshop.store, workshop.wish("canary"))
    searcher = Searcher.open(
        dataset=workshop.path("export"),
        embedder=workshop.path("tune"),
        corpus=workshop.path("ingest"),
    )
    [hits] = searcher.like_texts([PHRASE], 50)
    assert len(hits) == 40
    assert all(PHRASE[:11] not in (hit.text or "") for hit in hits)
    tokens = TokenizedCorpus(workshop.path("tokenize"))
    packed = tokens.packed("train")
    assert sum(len(piece) for row in range(packed.num_rows) for piece in packed.row(row)) == sum(
        tokens.documents("train").lengths
    )


def test_all_corpora_of_the_workspace_are_searched(made: Workshop, workshop: Workshop) -> None:
    workshop.run(validation_frac=0.07)  # another corpus with the same documents
    workshop.write([{**one, "id": f"new-{one['id']}"} for one in records()])
    workshop.run()
    answer = erase(workshop.store, workshop.wish("new-canary", with_duplicates=True))
    assert answer["exact_twins"] == ["canary", "copy"]
    assert left_of_canary(made, workshop.root) == []


def test_damage_is_still_found_after_an_erasure(workshop: Workshop) -> None:
    erase(workshop.store, workshop.wish("canary"))
    name = next(iter(read_erased(workshop.path("export")).files))
    flip_bit(workshop.path("export") / name, bit=80)
    assert workshop.store.verify_all() == [
        f"{workshop.refs['export'].path}: {name} has other content than was committed"
    ]


def test_an_unknown_document_is_refused(workshop: Workshop) -> None:
    with pytest.raises(RequestError, match="has a document 'nobody'"):
        erase(workshop.store, workshop.wish("nobody"))
    with pytest.raises(RequestError, match="say which documents"):
        erase(workshop.store, workshop.wish())


def test_it_is_refused_while_someone_works(workshop: Workshop) -> None:
    with (
        workshop.store.lease("vocab", "0" * 32),
        pytest.raises(RequestError, match="is at work"),
    ):
        erase(workshop.store, workshop.wish("canary"))
    assert "canary" in workshop.rows()["doc_id"].to_pylist()
    assert workshop.run()["ingest"].reused  # nothing of it is left pending


def test_a_number_in_a_file_means_the_text_that_has_it_now(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    nameless = [{k: v for k, v in each.items() if k != "id"} for each in records()]
    workshop.write(nameless)
    workshop.run()
    workshop.write(nameless[1:])  # every number is another document's now
    workshop.run()
    erase(workshop.store, workshop.wish("corpus.jsonl#24"))
    assert not traces(workshop.root, phrases=PHRASES)
    assert workshop.rows().num_rows == 39
    workshop.write(nameless[2:])
    workshop.run()
    assert workshop.rows().num_rows == 38  # nobody else is refused for having the number
    assert workshop.ledger()["corpus.jsonl#24"]["status"] == "kept"
    assert workshop.ledger()["corpus.jsonl#23"]["reason"] == "erased"
