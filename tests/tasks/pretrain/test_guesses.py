"""The page shows what the model guesses in passages of validation, safely, always the same."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from model.batch import Tokens
from model.bpe.tokenizer import tokenizer_json
from model.config import EncoderConfig
from model.guesses import Guessed
from model.initialization import initialize
from model.masked_batches import ValidationRows
from model.mlm import MaskedLanguageModel
from tasks.pretrain.guesses import GUESSES_FILE, Guesses, guesses_page, write_guesses

CONFIG = EncoderConfig(
    vocab_size=320, hidden_size=16, num_layers=1, num_heads=2, intermediate_size=24
)
TEXTS = [
    "the ship <b>sailed</b> & came back",
    "名前は東京",
    "سفينة في البحر",
    "a\n\tb\x00 \u202ec",
] * 4


class TextRows:
    """A document a row."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._rows = [np.array(tokenizer.encode(text).ids, np.uint16) for text in TEXTS]

    @property
    def num_rows(self) -> int:
        return len(self._rows)

    def row(self, row: int) -> list[Tokens]:
        return [self._rows[row]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json([], pattern="gpt2"))


@pytest.fixture(scope="module")
def model() -> MaskedLanguageModel:
    model = MaskedLanguageModel(CONFIG)
    initialize(model, CONFIG, 0)
    return model


@pytest.fixture(scope="module")
def guesses(tokenizer: Tokenizer) -> Guesses:
    rows = ValidationRows(
        rows=TextRows(tokenizer),
        config=CONFIG,
        row_tokens=64,
        max_rows=100,
        micro_rows=5,
        mask_frac=0.15,
        seed=0,
    )
    return Guesses.of(
        list(rows.batches()),
        tokenizer,
        device=torch.device("cpu"),
        precision=torch.float32,
        seed=0,
    )


@pytest.fixture(scope="module")
def samples(guesses: Guesses, model: MaskedLanguageModel) -> list[dict[str, Any]]:
    """Of two validations, as the loop keeps them."""
    return [{"step": step} | one for step in (10, 1200) for one in guesses(model)]


def gap(token: str, *guesses: tuple[str, float], right: bool = False) -> dict[str, Any]:
    return {
        "token": token,
        "probability": 0.04,
        "guesses": [list(each) for each in guesses],
        "is_right": right,
    }


def page_of(*parts: Any, cut: tuple[bool, bool] = (False, False)) -> str:
    """The page of one passage without marks of direction."""
    page = guesses_page([{"step": 7, "parts": list(parts), "cut": list(cut)}])
    return page.replace("\u2068", "").replace("\u2069", "")


def test_samples_are_json_and_hold_the_text(samples: list[dict[str, Any]]) -> None:
    assert json.loads(json.dumps(samples)) == samples
    assert len(samples) == 16
    texts = []
    for sample in samples[:8]:
        parts = [part if isinstance(part, str) else part["token"] for part in sample["parts"]]
        if not any("\\x" in part for part in parts):
            texts.append("".join(parts))
        assert sample["cut"] in ([False, False], [True, False], [False, True])
    assert any(text in TEXTS for text in texts)


def test_the_page_is_the_same_each_time_and_newest_first(
    samples: list[dict[str, Any]], guesses: Guesses, model: MaskedLanguageModel, tmp_path: Path
) -> None:
    write_guesses(samples, tmp_path)
    page = (tmp_path / GUESSES_FILE).read_text("utf-8")
    again = [{"step": step} | one for step in (10, 1200) for one in guesses(model)]
    assert guesses_page(again) == page == guesses_page(json.loads(json.dumps(samples)))
    assert page.index("After 1,200 steps") < page.index("After 10 steps")
    newest, older = page.split("After 10 steps")
    assert newest.count("<details>") == 0
    assert older.count("<details>") == 8
    assert not re.search(r"20\d\d-\d\d", page)  # no clock


def test_a_passage_reads_as_text_with_guesses_in_it() -> None:
    wrong = gap(" storm", (" sea", 0.42), ("ing", 0.11), (" storm", 0.0))
    right = gap(" in", (" in", 0.6), (" on", 0.2), (" at", 0.1), right=True)
    page = page_of("The ship left", right, " a", wrong, ".", cut=(True, False))
    assert "… The ship left [in ✓ 60 %] a [storm ✗ sea 42 %].</p>" in page
    assert "1 of 2 masked tokens guessed right." in page
    rows = re.findall(r"<tr(.*?)>(<td.*?)</tr>", page)
    cells = [re.findall(r">([^<]*)</td>", row) for _, row in rows]
    assert cells == [
        ["␣in", "4 %", "␣in 60 % ✓", "␣on 20 %", "␣at 10 %"],
        ["␣storm", "4 %", "␣sea 42 %", "ing 11 %", "␣storm &lt;1 %"],
    ]
    assert ["emphasized" in attributes for attributes, _ in rows] == [True, False]


def test_tokens_that_end_in_a_blank_and_tokens_of_blanks() -> None:
    page = page_of(
        "the ", gap("ship ", ("sail ", 0.5)), gap(" ", ("", 0.2)), "x", cut=(False, True)
    )
    assert "the [ship ✗ sail 50 %]  [␣ ✗ (nothing) 20 %] x …" in page


def test_text_cannot_leave_its_place(samples: list[dict[str, Any]]) -> None:
    hostile = "<script>alert(1)</script>\u2069\u202e\x00\n"
    page = page_of(hostile, gap(hostile, (hostile, 0.5)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00\u202a-\u202e\u2066\u2067]", page)
    whole = guesses_page(samples)
    assert whole.count("\u2068") == whole.count("\u2069") > 0
    assert "<b>sailed" not in whole


def test_a_right_guess_is_the_likeliest_token() -> None:
    answer = Guessed(7, 0.5, ((7, 0.5), (8, 0.3)))
    assert answer.is_right
    assert not replace(answer, token_id=8).is_right


def test_no_validation_gives_a_page_too() -> None:
    assert "<h2>" not in guesses_page([])
