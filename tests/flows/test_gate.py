"""A challenger through the whole chain: refused with reasons, brought in, taken back, not again."""

from collections.abc import Iterator
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.release.release import MODEL_NAME
from tasks.store.workspace import Workspace
from tasks.tracking.location import embedded
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import Chain, plain
from tests.flows.shell import Shell

pytestmark = pytest.mark.long

SHORTER = ("--tune.max-steps", "2")  # another embedder, which learned less


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("gate")
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(160))
    with Shell(plain()) as shell:
        yield Chain(corpus, folder / "workspace", shell=shell)


@pytest.fixture(scope="module")
def first(chain: Chain) -> dict[str, Any]:
    return chain.run()


@pytest.fixture(scope="module")
def refused(chain: Chain, first: dict[str, Any]) -> dict[str, Any]:
    return chain.run("run", *SHORTER)


def aliased(chain: Chain, alias: str) -> dict[str, str]:
    client = MlflowClient(embedded(chain.workspace / "state").uri)
    return dict(client.get_model_version_by_alias(MODEL_NAME, alias).tags)


def test_a_first_release_needs_no_trial(chain: Chain, first: dict[str, Any]) -> None:
    assert first["release"]["id"] == 1
    assert first["published"] == str(chain.workspace / "published" / "embeddings")
    assert "refused" not in first
    assert "trial" not in first["artifacts"]


def test_a_challenger_that_is_no_better_is_refused_and_everybody_knows(
    chain: Chain, first: dict[str, Any], refused: dict[str, Any]
) -> None:
    assert refused["release"] == first["release"]
    told = refused["refused"]
    assert told["against"] == 1
    assert "recall@1 on" in told["reasons"][0]
    assert told["corpus"]["input_id"] == refused["artifacts"]["ingest"]["input_id"]
    assert told["embedder"]["input_id"] == refused["artifacts"]["tune"]["input_id"]
    assert refused["metrics"]["trial/num_both"] > 1
    assert "trial" in refused["artifacts"]
    record = Workspace.at(chain.workspace).runs()[-1]
    assert record["refused"] == told
    assert record["release"]["id"] == 1
    assert aliased(chain, "champion")["corpusmith.release"] == "1"
    challenger = aliased(chain, "challenger")
    assert challenger["corpusmith.content_id"] == told["embedder"]["content_id"]
    assert challenger["corpusmith.refused_against"] == "1"


def test_the_next_run_decides_anew_from_the_same_trial(
    chain: Chain, refused: dict[str, Any]
) -> None:
    again = chain.run("run", *SHORTER)
    assert again["artifacts"]["trial"]["reused"]
    assert again["refused"]["reasons"] == refused["refused"]["reasons"]
    told = ("--notify.block", "slack-webhook/nobody")
    done = chain.try_("run", str(chain.corpus), *options(), *SHORTER, *told)
    assert done.returncode == 0
    assert "not published: release 1 stays current" in done.stdout
    assert "notify.block slack-webhook/nobody was not told of the refusal" in done.stderr
    assert (refused["published"], again["published"]) == (None, None)
    never = chain.run("run", *SHORTER, "--release.publish", "never")
    assert "release.publish = never" in never["refused"]["reasons"][0]


def options() -> list[str]:
    from tests.flows.chain import LABEL, QUICK

    return [*QUICK, *LABEL]


def test_who_insists_publishes_and_what_was_taken_back_does_not_come_again(
    chain: Chain, refused: dict[str, Any]
) -> None:
    published = chain.run("run", *SHORTER, "--release.publish", "always")
    assert published["release"]["id"] == 2
    assert "refused" not in published
    assert aliased(chain, "champion")["corpusmith.release"] == "2"
    assert chain.answer("release", "rollback")["release"]["id"] == 1
    assert aliased(chain, "champion")["corpusmith.release"] == "1"
    again = chain.run("run", *SHORTER)
    assert "release 2 with this embedder was rolled back from" in again["refused"]["reasons"][0]
    assert again["release"]["id"] == 1


def test_another_export_of_the_released_embedder_needs_no_trial(
    chain: Chain, first: dict[str, Any]
) -> None:
    again = chain.run("run", "--export.dtype", "float16")
    assert "refused" not in again
    assert again["release"]["id"] not in (1, 2)
    assert again["release"]["embedder"] == first["release"]["embedder"]
