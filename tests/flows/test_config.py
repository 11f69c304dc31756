"""Settings: presets load, overrides win, and what is wrong is named."""

import pytest

from flows.config import load_config, presets
from flows.options import overrides
from flows.parser import parse
from model.errors import RequestError


def given(*arguments: str) -> dict[str, dict[str, object]]:
    return overrides(parse(["run", *arguments]))


def test_presets_are_there_and_valid() -> None:
    assert presets() == ["base", "base-multi", "small", "smoke"]
    for name in presets():
        load_config(name, {})


def test_an_option_beats_the_preset() -> None:
    assert load_config("smoke", given("--pretrain.max_steps", "7")).pretrain.max_steps == 7


@pytest.mark.parametrize("spelling", ["--pretrain.max-steps", "--pretrain.max_steps"])
def test_hyphen_and_underscore_are_equal(spelling: str) -> None:
    assert given(spelling, "7") == {"pretrain": {"max_steps": "7"}}
    assert given(f"{spelling}=7") == {"pretrain": {"max_steps": "7"}}


def test_none_and_lists_can_be_said() -> None:
    config = load_config(
        "smoke", given("--pretrain.max-minutes", "none", "--tune.matryoshka-dims", "64,32")
    )
    assert config.pretrain.max_minutes is None
    assert list(config.tune.matryoshka_dims or []) == [64, 32]


def test_a_file_is_read(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[vocab]\nvocab_size = 1024\n", "utf-8")
    assert load_config(str(path), {}).vocab.vocab_size == 1024


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pretrain.max_step", "7"], "did you mean pretrain.max_steps"),
        (["--vocab.vocabsize", "7"], "did you mean vocab.vocab_size"),
        (["--nonsense"], "unknown option --nonsense"),
        (["--config"], "expected one argument"),
    ],
)
def test_unknown_options_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        given(*arguments)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("max_steps", "0", "pretrain.max_steps: .*greater"),
        ("max_steps", "many", "pretrain.max_steps: .*integer"),
        ("size", "huge", "pretrain.size: .*'tiny'"),
        ("num_heads", "7", "num_heads"),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load_config("smoke", {"pretrain": {key: value}})


def test_an_unknown_key_in_a_file_is_refused(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[pretrain]\nmax_step = 3\n", "utf-8")
    with pytest.raises(RequestError, match=r"unknown key pretrain.max_step .*pretrain.max_steps"):
        load_config(str(path), {})


@pytest.mark.parametrize("text", ["[vocab", "vocab = 3", "[vocab]\nvocab_size = 3\n"])
def test_a_bad_file_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(RequestError, match=r"vocab|TOML"):
        load_config(str(path), {})


def test_neither_preset_nor_file() -> None:
    with pytest.raises(RequestError, match=r"neither a preset nor a file: use one of base"):
        load_config("huge", {})
