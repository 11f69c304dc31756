"""Real stages on a workspace in a bucket: two machines share the work, and it is as in a folder."""

from pathlib import Path
from typing import Any

import pytest

from tasks.execute import Outcome, execute
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.stage import PRETRAIN
from tasks.settings import StageConfig
from tasks.stage import Stage, StageContext, map_in_order
from tasks.store.store import Store
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.stage import TOKENIZE
from tests.bucket_fixtures import Shared
from tests.corpora import topic_documents, write_jsonl
from tests.s3_server import KEY, SECRET
from tests.tasks.chain import Listener, byte_vocab
from tests.tasks.store.making import new_store


class StopsAfter(Listener):
    """Stops training as an error would, some steps before its end."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        self.num_steps = num_steps

    def progress(self, done: int, total: int, unit: str) -> None:
        if unit == "steps" and done >= self.num_steps:
            raise ZeroDivisionError


def learn_bytes(context: StageContext) -> dict[str, float]:
    """A vocabulary that costs nothing to learn."""
    made = byte_vocab(context.output / "made")
    made.file("tokenizer.json").rename(context.output / "tokenizer.json")
    made.path.rmdir()
    return {}


VOCAB = Stage(name="vocab", version=1, upstream=("ingest",), run=learn_bytes)


class Machine:
    """Runs the stages on its store, each handed what those before it made."""

    def __init__(self, store: Store, corpus: Path) -> None:
        self.store = store
        ingest = IngestConfig(paths=[str(corpus)], id_column="id")
        pretrain = PretrainConfig(
            size="tiny",
            num_layers=1,
            hidden_size=32,
            num_heads=2,
            intermediate_size=48,
            rows_per_step=4,
            max_steps=8,
            validations=1,
            precision="fp32",
            compile="off",
            device="cpu",
        )
        self.stages: dict[str, tuple[Stage, StageConfig]] = {
            "ingest": (INGEST, ingest),
            "vocab": (VOCAB, StageConfig()),
            "tokenize": (TOKENIZE, TokenizeConfig(row_tokens=64)),
            "pretrain": (PRETRAIN, pretrain),
        }

    def run(self, until: str = "pretrain", report: Any = None) -> dict[str, Outcome]:
        done: dict[str, Outcome] = {}
        for name, (stage, config) in self.stages.items():
            inputs = {upstream: done[upstream].ref for upstream in stage.reads(config)}
            done[name] = execute(
                stage,
                config,
                inputs,
                store=self.store,
                report=report or Listener(),
                map_shards=map_in_order,
            )
            if name == until:
                break
        return done


@pytest.mark.usefixtures("one_thread")
def test_a_second_machine_goes_on_and_the_result_is_the_same_as_in_a_folder(
    shared: Shared, tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "topics.jsonl", topic_documents(40))
    first = Machine(shared.open("one"), corpus)
    first.run("tokenize")
    with pytest.raises(ZeroDivisionError):
        first.run(report=StopsAfter(5))
    second = Machine(shared.open("two"), corpus)
    done = second.run()
    assert [outcome.reused for outcome in done.values()] == [True, True, True, False]
    assert done["pretrain"].metrics["resumed_from_step"] >= 4
    fetched = {path.name for path in second.store.workspace.artifacts.iterdir()}
    assert fetched == {"vocab", "tokenize", "pretrain"}, "what is not read is not fetched"
    local = Machine(new_store(tmp_path), corpus).run()
    assert {name: outcome.ref for name, outcome in done.items()} == {
        name: outcome.ref for name, outcome in local.items()
    }
    assert shared.open("three").verify_all() == []
    assert shared.warnings == []
    for key in shared.names():
        content = b"".join(shared.objects.chunks(key) or ())
        assert SECRET.encode() not in content
        assert KEY.encode() not in content
