"""Files from outside, damaged and made to harm: read as before, or refused with an error of ours.

Every reader of a file that a user may have got from somebody else is here, but for those of ingest,
whose tests lie with it.
"""

import gzip
import json
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flows.config import load_config
from model.errors import ArtifactError, CorpusmithError, RequestError
from tasks.corpus import Corpus
from tasks.embedder import EmbedderSummary, load_tokenizer
from tasks.evaluate.judged_files import JudgedFile
from tasks.evaluate.sentence_transformer_folders import SentenceTransformerSystem
from tasks.probe.foreign import read_encoder
from tasks.probe.treebank.reading import read_treebank
from tasks.release.release import parse_release
from tasks.release.switches import parse_switch
from tasks.store.erased import ERASED_NAME, read_erased
from tasks.store.manifest import parse_manifest
from tasks.store.workspace import Workspace
from tasks.token_weight_files import read_token_weights
from tasks.tombstones import read_tombstones
from tasks.tuned_layers import TunedLayers
from tasks.vocab.adopt import adopt_tokenizer, unmatched_tokens
from tests.faults.changes import done_apart
from tests.faults.hostile import damaged, reads_or_refuses, wild
from tests.faults.table import Table
from tests.tasks.evaluate.listening import Listening
from tests.tasks.evaluate.test_judged_files import FORMS, PACKERS
from tests.tasks.pretrain.foreign import OTHER_NAMES, foreign_folder
from tests.tasks.probe.foreign_folders import CONFIG, bert_folder
from tests.tasks.probe.treebank.treebanks import documents
from tests.tasks.vocab.given_tokenizers import GIVEN

DEEP = "[" * 200_000


@dataclass(frozen=True)
class Reader:
    """A reader of a file from outside.

    Attributes:
        content: of a file that it takes.
        path: where it looks for the file.
        read: reads it and all that depends on it.
        is_json: whether values in it can be exchanged.
    """

    content: bytes
    path: Path
    read: Callable[[], object]
    is_json: bool = True


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    root = tmp_path_factory.mktemp("outside")
    found = dict(_model_readers(root)) | dict(_tokenizer_readers(root))
    found |= dict(_judgement_readers(root)) | dict(_workspace_readers(root))
    for reader in found.values():
        reader.path.parent.mkdir(parents=True, exist_ok=True)
        reader.path.write_bytes(reader.content)
    return found


def _model_readers(root: Path) -> Iterator[tuple[str, Reader]]:
    folders = {
        "bert": bert_folder(root / "bert"),
        "modernbert": foreign_folder(root / "modern", OTHER_NAMES, max_shard_size="50KB"),
    }
    for kind, folder in folders.items():
        read = partial(read_encoder, CONFIG.model_copy(update={"encoder": folder}))
        for path in sorted(folder.iterdir()):
            is_json = path.suffix == ".json"
            if path.name != "tokenizer.json" and (is_json or kind == "bert"):
                yield f"{kind} {path.name}", Reader(path.read_bytes(), path, read, is_json)


def _tokenizer_readers(root: Path) -> Iterator[tuple[str, Reader]]:
    for kind in ("gpt2", "bert", "llama", "word_level"):
        path = root / f"{kind}.json"

        def read(path: Path = path) -> None:
            adopt_tokenizer(path, pad_to_multiple=64)
            unmatched_tokens(path)
            load_tokenizer(path)

        yield f"tokenizer {kind}", Reader(GIVEN[kind]().to_str().encode(), path, read)


def _judgement_readers(root: Path) -> Iterator[tuple[str, Reader]]:
    treebank = root / "bank.conllu"
    content = documents([f"d{number}" for number in range(8)]).encode()
    read = partial(read_treebank, [str(treebank)], seed=0)
    yield "treebank", Reader(content, treebank, read, is_json=False)
    for form, plain in FORMS.items():
        for packer in ("plain", "gz", "zst"):
            path = root / f"{form}-{packer}"
            yield (
                f"judgements {form} {packer}",
                Reader(PACKERS[packer](plain), path, partial(_read_judged, path), is_json=False),
            )
    toml = root / "mine.toml"
    read = partial(load_config, str(toml), {"vocab": {"vocab_size": "512"}})
    content = b'[ingest]\ntext_column = "body"\n[pretrain]\nmax_steps = 7\nmuon_lr = 0.5\n'
    yield "config", Reader(content.replace(b"muon_lr = 0.5\n", b""), toml, read, is_json=False)


def _read_judged(path: Path) -> None:
    for row in JudgedFile(path, "evaluate.relevance").rows(("query", "doc_id")):
        row.text("query").encode()
        row.name("doc_id").encode()
        if "relevance" in row.values:
            row.number_in("relevance")


def _workspace_readers(root: Path) -> Iterator[tuple[str, Reader]]:
    place = root / "workspace"
    (place / "erased/tombstones").mkdir(parents=True)
    workspace = Workspace.open(place)
    ref = {"stage": "tune", "input_id": "0" * 32, "content_id": "1" * 32}
    ref["path"] = f"artifacts/tune/{ref['input_id']}"
    release = {"format_version": 1, "id": 1, "embedder": ref, "export": ref}
    release |= {"corpus": ref, "scores": {"a": 0.5}, "published_at": "2026-01-01T00:00:00Z"}
    sizes = {"dim": 8, "matryoshka_dims": [4], "max_window_tokens": 16, "layer": 2}
    weights = {"vocab": ["a", "b"], "word_weights": {"a": 1.0, "b": 2.0}}
    shard = {"name": "documents/0.parquet", "num_documents": 1}
    layers = {"layer": 1, "checkpoint": "c", "validation_recall_at_1": [1], "validation_mrr": [1]}
    artifact = place / "artifact"
    files: dict[str, tuple[Path, object, Callable[[], object]]] = {
        "workspace": (
            place / "workspace.json",
            {"format_version": 1},
            lambda: Workspace.open(place),
        ),
        "run record": (place / "runs/20260101-000000-abcdef.json", {"run_id": "a"}, workspace.runs),
        "tombstones": (
            place / "erased/tombstones/a.json",
            {"doc_ids": ["0" * 64], "contents": []},
            lambda: read_tombstones(workspace),
        ),
        "embedder": (
            artifact / "embedder.json",
            {"pooling": "mean", **sizes},
            lambda: EmbedderSummary.read(artifact).dims,
        ),
        "token weights": (
            artifact / "1_WordWeights/config.json",
            weights,
            lambda: read_token_weights(artifact, 2),
        ),
        "layers": (artifact / "layers.json", layers, lambda: TunedLayers.read(artifact)),
        "corpus": (artifact / "corpus.json", {"shards": [shard]}, lambda: Corpus(artifact).about),
        "erased": (
            artifact / ERASED_NAME,
            {"erased": {}, "seal": "0"},
            lambda: read_erased(artifact),
        ),
    }
    for name, (path, values, read) in files.items():
        yield name, Reader(json.dumps(values).encode(), path, read)
    for name, parse in (("release", parse_release), ("switch", parse_switch)):
        path = place / f"{name}.json"
        yield name, Reader(json.dumps(release).encode(), path, partial(_parse, parse, path))
    path = place / "MANIFEST.json"
    yield "manifest", Reader(b'{"seal": "0"}', path, partial(_parse, parse_manifest, path))


def _parse(parse: Callable[[bytes, str], object], path: Path) -> object:
    return parse(path.read_bytes(), str(path))


def _try(readers: dict[str, Reader], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(readers)))
    reader = readers[name]
    damage = [damaged(reader.content)] + [wild(reader.content)] * reader.is_json
    reader.path.write_bytes(data.draw(st.one_of(*damage)))
    try:
        message = reads_or_refuses(reader.read)
    finally:
        reader.path.write_bytes(reader.content)
    assert message is None or len(message) > 20


NUM_EXAMPLES = 2000
UNHURRIED = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.generate,),  # what fails is small already
}


@settings(max_examples=40, derandomize=True, **UNHURRIED)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(readers: dict[str, Reader], data: st.DataObject) -> None:
    _try(readers, data)


@pytest.mark.faults
def test_many_damaged_files_are_read_or_refused(readers: dict[str, Reader], table: Table) -> None:
    @settings(max_examples=NUM_EXAMPLES, **UNHURRIED)
    @given(data=st.data())
    def try_many(data: st.DataObject) -> None:
        _try(readers, data)

    try_many()
    happened = f"{NUM_EXAMPLES} times read, or refused by name"
    table.add("damaged, foreign and wild content", f"{len(readers)} kinds of files", happened)


def test_all_of_them_read_what_is_whole(readers: dict[str, Reader]) -> None:
    """Or the fuzzing above would try nothing but the first check."""
    made_up = {"corpus", "erased", "switch", "manifest"}
    refused = {name for name, reader in readers.items() if reads_or_refuses(reader.read)}
    assert refused == made_up


@pytest.mark.parametrize("name", ["config", "tokenizer gpt2", "bert config.json", "release"])
def test_nested_too_deep_is_said(readers: dict[str, Reader], name: str) -> None:
    reader = readers[name]
    reader.path.write_text(f"a = {DEEP}" if name == "config" else f'{{"a": {DEEP}')
    try:
        with pytest.raises(CorpusmithError):
            reader.read()
    finally:
        reader.path.write_bytes(reader.content)


def test_an_id_that_no_vocabulary_reaches_is_refused(tmp_path: Path) -> None:
    """The library would write down all ids that are missing below it, and end the process."""
    path = tmp_path / "tokenizer.json"
    values = json.loads(GIVEN["word_level"]().to_str())
    values["model"]["vocab"]["far"] = 2**32 - 1
    path.write_text(json.dumps(values), "utf-8")
    for read in (load_tokenizer, partial(adopt_tokenizer, pad_to_multiple=64)):
        with pytest.raises(ArtifactError, match="it has a token of id 4294967295"):
            read(path)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"vocab_size": 2**62, "hidden_size": 2**32},
        {"norm_eps": "much", "layer_norm_eps": "much"},
        {"global_attn_every_n_layers": 1e400, "layer_types": None, "hidden_size": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_sizes_out_of_all_measure_are_refused(
    readers: dict[str, Reader], kind: str, change: dict[str, object]
) -> None:
    reader = readers[f"{kind} config.json"]
    reader.path.write_text(json.dumps(json.loads(reader.content) | change), "utf-8")
    try:
        with pytest.raises(RequestError, match=r"config\.json"):
            reader.read()
    finally:
        reader.path.write_bytes(reader.content)


def test_numbers_of_thousands_of_digits_are_faults_of_their_lines(tmp_path: Path) -> None:
    many = "9" * 5000
    bank = tmp_path / "bank.conllu"
    good = documents([f"d{number}" for number in range(8)])
    bank.write_text(good.replace("2\t", f"{many}\t", 1), "utf-8")
    assert len(read_treebank([str(bank)], seed=0).problems) == 1
    judged = tmp_path / "judged"
    judged.write_text(f'{{"grade": 1{"0" * 400}}}', "utf-8")
    with pytest.raises(RequestError, match=r"judged cannot be read \(it holds a number of 401"):
        list(JudgedFile(judged, "evaluate.relevance").rows(["grade"]))
    judged.write_text('{"grade": 1e400, "text": "\\ud800"}', "utf-8")
    [row] = JudgedFile(judged, "evaluate.relevance").rows(["grade"])
    with pytest.raises(RequestError, match="no finite number"):
        row.number_in("grade")
    with pytest.raises(RequestError, match="half of a character"):
        row.text("text")


@pytest.mark.parametrize("text", ["ingest = 3\n", f"a = {'9' * 5000}\n", "\ufeff[vocab]\nx = 1\n"])
def test_settings_of_another_form_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(RequestError, match=r"no table of settings|not valid TOML|unknown key"):
        load_config(str(path), {"ingest": {"seed": 1}, "vocab": {"seed": 1}})


def test_what_unpacks_or_stretches_without_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judged"
    bombs = {
        "compression bomb": gzip.compress(bytes(2**26), 9, mtime=0),
        "line 1 is longer": b"query,doc_id" + b"x" * 2**26,
        "line 2 is longer": b"query,doc_id\n" + b"x" * 2**26,
    }
    for says, content in bombs.items():
        path.write_bytes(content)
        with pytest.raises(RequestError, match=says):
            list(JudgedFile(path, "evaluate.relevance").rows(["query"]))


def test_a_dictionary_of_parquet_is_not_multiplied(tmp_path: Path) -> None:
    """A hundred gigabytes of text in a file of a few kilobytes: rows come one after another."""
    path = tmp_path / "judged"
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 10**5, pa.int32()), ["x" * 2**20])
    pq.write_table(pa.table({"query": value}), path, compression="zstd")
    assert path.stat().st_size < 2**16

    def read() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = JudgedFile(path, "evaluate.relevance").rows(["query"])
        assert [len(next(rows).text("query")) for _ in range(40)] == [2**20] * 40
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024

    assert done_apart(read) == 0  # the peak of this process may be that of an earlier test


def test_layers_beside_the_encoder_are_no_pickles_either(tmp_path: Path) -> None:
    parts = [{"idx": 0, "name": "0", "path": "2_Dense", "type": "Dense"}]
    (tmp_path / "modules.json").write_text(json.dumps(parts), "utf-8")
    (tmp_path / "2_Dense").mkdir()
    torch.save({}, tmp_path / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(RequestError, match=r"2_Dense/pytorch_model\.bin is a pickle"):
        SentenceTransformerSystem.load(
            "st_x", tmp_path, device=torch.device("cpu"), report=Listening()
        )
