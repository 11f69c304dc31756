"""Settings reach the tracker flat, cut visibly, and without secrets."""

import pytest

from tasks.redaction import without_password
from tasks.tracking.location import Location, experiment_name, run_page
from tasks.tracking.params import MAX_PARAM_CHARACTERS, cut, flatten, valid_name


def test_nested_settings_become_dotted_names() -> None:
    settings = {"pretrain": {"seed": 3, "size": "tiny", "init_from": None, "steps": [1, 2]}}
    assert flatten(settings) == {
        "pretrain.seed": "3",
        "pretrain.size": "tiny",
        "pretrain.init_from": "null",
        "pretrain.steps": "[1, 2]",
    }


def test_a_prefix_is_given_once() -> None:
    assert flatten({"seed": 1}, "tune.") == flatten({"tune.seed": 1}, "tune.") == {"tune.seed": "1"}


@pytest.mark.parametrize("key", ["password", "api_key", "AWS_SECRET", "access_key", "auth_token"])
def test_secrets_are_hidden(key: str) -> None:
    assert flatten({"export": {key: "hunter2"}}) == {f"export.{key}": "(hidden)"}


@pytest.mark.parametrize("key", ["row_tokens", "tokenizer", "monkey", "id_column", "key_column"])
def test_ordinary_names_are_no_secrets(key: str) -> None:
    assert flatten({key: "shown"}) == {key: "shown"}


def test_passwords_in_addresses_are_hidden() -> None:
    assert without_password("postgresql://me:pw@db:5432/x?a=b@c") == "postgresql://db:5432/x?a=b@c"
    assert without_password("s3://bucket/a@b") == "s3://bucket/a@b"
    assert flatten({"ingest": {"paths": ["http://u:p@h/x"]}})["ingest.paths"] == '["http://h/x"]'


def test_a_word_that_is_a_password_somewhere_stays_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "mlflow")
    assert flatten({"where": "mlflow"}) == {"where": "mlflow"}


def test_long_values_are_cut_where_one_sees_it() -> None:
    shown = flatten({"paths": "x" * 10_000})["paths"]
    assert len(shown) == MAX_PARAM_CHARACTERS
    assert shown.endswith("[cut, 10000 characters]")
    assert cut("x" * 100, 100) == "x" * 100


def test_names_are_made_valid() -> None:
    assert valid_name("recall@10, é%") == "recall_10_ é_"
    assert valid_name("pretrain/train_loss") == "pretrain/train_loss"


def test_the_default_experiment_gives_way_to_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert experiment_name("corpusmith") == "corpusmith"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    assert experiment_name("corpusmith") == "team"
    assert experiment_name("asked") == "asked"


def test_a_page_is_where_people_see_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Location("http://me:pw@mlflow:5000")
    assert run_page(server, "1", "a") == "http://mlflow:5000/#/experiments/1/runs/a"
    monkeypatch.setenv("CORPUSMITH_MLFLOW_PAGES", "https://me:pw@runs.example/mlflow/")
    assert run_page(server, "1", "a") == "https://runs.example/mlflow/#/experiments/1/runs/a"
    assert run_page(Location("sqlite:///mlflow.db"), "1", "a") is None
