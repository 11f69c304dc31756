"""The stage itself: files in, files out, nothing left over, the same bytes twice."""

import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from model.bpe.tokenizer import tokenizer_json
from model.errors import CorpusError, RequestError
from model.huggingface import save_masked_lm
from tasks.probe.config import ProbeConfig
from tasks.probe.sample import Tokens
from tasks.probe.stage import PROBE
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import Manifest
from tests.tasks.evaluate.folders import write_corpus
from tests.tasks.evaluate.other_runs import commit
from tests.tasks.probe.encoders import Silent, corpus
from tests.tasks.probe.labelled import NAMES, corpus_of, labelled_corpus, write_tokens
from tests.tasks.probe.masked_models import plain_model, write_run
from tests.tasks.probe.treebank.treebanks import documents

CONFIG = ProbeConfig(
    num_documents=40, max_tokens_per_document=32, num_examples=60, window_tokens=8, device="cpu"
)


def artifact(folder: Path, stage: str) -> Artifact:
    settings = {"seed": 0, "initial_heads": "neighbours"}
    identity = Identity(stage=stage, version=1, settings=settings, inputs={})
    return artifact_from(folder, Manifest(identity=identity, inputs={}, files=()))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    folder = tmp_path_factory.mktemp("inputs")
    write_tokens(folder / "tokenize", dict(corpus(num_train=80, num_held_out=60)))
    write_corpus(folder / "ingest", [{"doc_id": "a", "text": "a", "split": "train"}])
    (folder / "pretrain").mkdir()
    save_masked_lm(plain_model(), folder / "pretrain")
    write_run(folder / "pretrain", [5, 10])
    definition = tokenizer_json([], pattern="gpt2", pad_to_multiple=1)
    (folder / "pretrain" / "tokenizer.json").write_text(definition, "utf-8")
    return {name: artifact(folder / name, name) for name in ("ingest", "tokenize", "pretrain")}


def run_in(
    output: Path,
    inputs: dict[str, Artifact],
    config: ProbeConfig = CONFIG,
    report: Silent | None = None,
) -> dict[str, float]:
    output.mkdir(exist_ok=True)
    own = report or Silent()
    return PROBE.run(StageContext(config=config, inputs=inputs, output=output, report=own))


@pytest.fixture(scope="module")
def finished(
    inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """The output of one run, and its metrics."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run_in(folder, inputs)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_writes_what_the_contract_names(finished: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = finished
    names = set(contents(folder))
    tables_and_pages = {*PROBE.tracked_files, *PROBE.quoting_files} - {"comparison.parquet"}
    assert {"layers.parquet", "heads.parquet", "report.html"} < tables_and_pages <= names
    plots = names - tables_and_pages
    assert plots
    assert all(name.startswith("plots/") and name.endswith(".svg") for name in plots)
    assert all(math.isfinite(value) for value in metrics.values())


def test_only_the_page_that_is_not_tracked_unasked_quotes(
    finished: tuple[Path, dict[str, float]],
) -> None:
    report, overview = (
        (finished[0] / name).read_text("utf-8") for name in ("report.html", "overview.html")
    )
    for title in ("Every head, over sentences", "One sentence through one head"):
        assert title in report
        assert title not in overview
    assert PROBE.quoting_files == ("report.html",)


def test_checkpoints_are_measured_from_before_the_first_update(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    table = pq.read_table(finished[0] / "checkpoints.parquet").to_pylist()
    assert {row["step"] for row in table} == {0, 5, 10}
    assert {row["measure"] for row in table} > {"masked_loss", "anisotropy", "entropy"}
    none = run_in(tmp_path, inputs, CONFIG.model_copy(update={"num_checkpoints": 0}))
    assert none == finished[1]
    assert not (tmp_path / "checkpoints.parquet").exists()
    assert "How it came about" not in (tmp_path / "report.html").read_text("utf-8")


def test_leftovers_of_an_earlier_attempt_change_nothing(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    folder, metrics = finished
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "of_an_earlier_attempt.svg").write_text("<svg/>")
    (tmp_path / "report.html").write_text("half a pa")
    assert run_in(tmp_path, inputs) == metrics
    assert contents(tmp_path) == contents(folder)


def test_tables_have_a_row_for_each_layer_and_head(
    finished: tuple[Path, dict[str, float]],
) -> None:
    layers = pq.read_table(finished[0] / "layers.parquet").to_pylist()
    heads = pq.read_table(finished[0] / "heads.parquet").to_pylist()
    assert {row["layer"] for row in layers} == {0, 1, 2, 3}
    assert {(row["layer"], row["head"]) for row in heads} == {
        (layer, head) for layer in (1, 2, 3) for head in (0, 1)
    }
    probes = [row for row in layers if row["measure"] == "bigram_shift_accuracy"]
    assert {row["seed"] for row in probes} == {0, 1, 2, None}
    assert {row["split"] for row in probes} == {"validation", "test"}


def held_out(documents: Sequence[Tokens]) -> dict[str, list[Tokens]]:
    return {"train": corpus(20, 1)["train"], "validation": list(documents), "test": []}


def test_a_handful_of_unrepeated_tokens_is_no_reason_to_fail(
    tmp_path: Path, inputs: dict[str, Artifact]
) -> None:
    """Self-similarity needs a token that occurs twice; without one its metric is left out."""
    few = held_out([np.array([7, 8, 9], np.uint16), np.array([10, 11], np.uint16)])
    write_tokens(tmp_path / "tokenize", few)
    small = inputs | {"tokenize": artifact(tmp_path / "tokenize", "tokenize")}
    metrics = run_in(tmp_path / "output", small)
    assert "self_similarity_adjusted_last_layer" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())
    assert "n/a" in (tmp_path / "output" / "report.html").read_text(encoding="utf-8")


def test_no_held_out_text_is_the_users_to_know(tmp_path: Path, inputs: dict[str, Artifact]) -> None:
    write_tokens(tmp_path / "tokenize", held_out([]))
    empty = inputs | {"tokenize": artifact(tmp_path / "tokenize", "tokenize")}
    with pytest.raises(CorpusError, match="needs 2; add documents"):
        run_in(tmp_path / "output", empty)


def test_documents_labels_are_probed_and_never_named(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    labelled = labelled_corpus()
    write_tokens(tmp_path / "tokenize", labelled.tokens, labelled.ids)
    corpus_of(labelled, tmp_path / "ingest")
    own = {name: artifact(tmp_path / name, name) for name in ("ingest", "tokenize")}
    config = CONFIG.model_copy(update={"num_labelled_documents": 60, "num_checkpoints": 0})
    metrics = run_in(tmp_path / "output", inputs | own, config)
    names = {name for name in metrics if "document_label" in name}
    assert len(names) == 3 * 5 + 4
    rows = pq.read_table(tmp_path / "output" / "layers.parquet").to_pylist()
    assert {row["measure"] for row in rows if "document_label_accuracy" in row["measure"]} <= names
    for page in ("report.html", "overview.html"):
        text = (tmp_path / "output" / page).read_text("utf-8")
        assert "label is best read from" in text
        assert "Alain and Bengio" in text
        assert not [name for name in NAMES if name in text]
    without = pq.read_table(finished[0] / "layers.parquet").to_pylist()
    assert not [row for row in without if "document_label" in row["measure"]]
    assert not [name for name in finished[1] if "document_label" in name]
    assert "label is best read from" not in (finished[0] / "report.html").read_text("utf-8")


def test_a_column_that_names_documents_is_left_out_with_a_warning(
    tmp_path: Path, inputs: dict[str, Artifact]
) -> None:
    few = held_out(corpus(20, 2)["validation"])
    write_tokens(tmp_path / "tokenize", few)
    names = [f"{split}-{place}" for split, own in few.items() for place in range(len(own))]
    rows = [
        {"doc_id": name, "text": name, "split": name.partition("-")[0], "kind": f"of {name}"}
        for name in names
    ]
    write_corpus(tmp_path / "ingest", rows, label_column="kind")
    own = {name: artifact(tmp_path / name, name) for name in ("ingest", "tokenize")}
    report = Silent()
    config = CONFIG.model_copy(update={"num_checkpoints": 0})
    metrics = run_in(tmp_path / "output", inputs | own, config, report)
    reason = "20 distinct values of kind over 20 training documents are too many to learn"
    assert any(f"the documents' labels are not probed: {reason}" in one for one in report.warnings)
    assert not [name for name in metrics if "document_label" in name]
    assert reason in (tmp_path / "output" / "overview.html").read_text("utf-8")


def test_a_treebank_is_read_checked_and_reported(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(documents([f"d{at}" for at in range(10)]) + "1\tbad\n", "utf-8")
    config = CONFIG.model_copy(update={"conllu": (str(path),)})
    metrics = run_in(tmp_path / "output", inputs, config)
    assert metrics.items() > finished[1].items()
    assert "head_found_accuracy" in metrics
    page = (tmp_path / "output" / "report.html").read_text(encoding="utf-8")
    assert "Treebank (a.conllu): train 16 sentences, 32 words, 8 documents" in page
    assert "test 2 sentences, 4 words, 1 documents" in page
    assert "left out, by the first fault of each: it is not ten columns between tabs (1)" in page
    assert "Treebank" not in (finished[0] / "report.html").read_text(encoding="utf-8")


def test_the_same_encoder_stands_beside_itself_undistinguished(
    tmp_path: Path, inputs: dict[str, Artifact], finished: tuple[Path, dict[str, float]]
) -> None:
    made = shutil.copytree(finished[0], tmp_path / "there" / "made")
    refs = {name: one.ref for name, one in inputs.items()}
    before = CONFIG.identity()
    other = commit(tmp_path / "there", made, "probe", refs, before, version=PROBE.version)
    settings = {"num_checkpoints": 0, "compare_with": (str(other.path),)}
    metrics = run_in(tmp_path / "output", inputs, CONFIG.model_copy(update=settings))
    name = f"other_{other.ref.input_id[:8]}"
    assert metrics.items() > finished[1].items()
    assert metrics[f"{name}_bigram_shift_accuracy_difference"] == 0
    rows = pq.read_table(tmp_path / "output" / "comparison.parquet").to_pylist()
    assert {row["encoder"] for row in rows} == {"this", name}
    assert len(rows) == 2 * sum(
        pq.read_table(finished[0] / table).num_rows for table in ("layers.parquet", "heads.parquet")
    )
    for page in ("report.html", "overview.html"):
        text = (tmp_path / "output" / page).read_text("utf-8")
        assert re.search(r"of (\d) probes that both have: not distinguishable in \1\.", text)
        assert "same corpus with the same tokenizer" in text
    assert "Beside other encoder" not in (finished[0] / "report.html").read_text("utf-8")


def test_the_treebanks_content_is_the_stages_source(tmp_path: Path) -> None:
    assert PROBE.sources is not None
    assert PROBE.sources(CONFIG) is None
    path = tmp_path / "a.conllu"
    path.write_text(documents(["a", "b", "c"]), "utf-8")
    config = CONFIG.model_copy(update={"conllu": (str(path),)})
    before = PROBE.sources(config)
    assert [name for name, _ in before] == ["a.conllu"]
    path.write_text(documents(["a", "b", "d"]), "utf-8")
    assert PROBE.sources(config) != before
    assert config.identity() == CONFIG.identity()
    with pytest.raises(RequestError, match=r"probe\.conllu: path .* does not exist"):
        PROBE.sources(CONFIG.model_copy(update={"conllu": (str(tmp_path / "no"),)}))


def test_a_treebank_is_a_path_or_several() -> None:
    assert ProbeConfig.model_validate({"conllu": "a.conllu"}).conllu == ("a.conllu",)
    assert ProbeConfig.model_validate({"conllu": ["a", "b"]}).conllu == ("a", "b")


def test_device_is_no_part_of_the_identity_and_few_seeds_are_refused() -> None:
    assert ProbeConfig(device="cpu").identity() == ProbeConfig().identity()
    assert ProbeConfig(seed=1).identity() != ProbeConfig().identity()
    with pytest.raises(ValidationError, match="num_seeds"):
        ProbeConfig(num_seeds=2)
