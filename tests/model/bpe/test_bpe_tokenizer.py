"""The tokenizer's file is what Hugging Face's trainer would have written, and loses nothing."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from model.bpe.counting import count_words
from model.bpe.learner import learn
from model.bpe.reference import Pair
from model.bpe.tokenizer import (
    NUM_FIXED_TOKENS,
    PATTERNS,
    SPECIAL_TOKENS,
    spell_merges,
    tokenizer_json,
)

NAUGHTY = [
    "",
    "\x00\x01\x7f",
    "[MASK]",
    "[CLS] a [SEP]",
    "[PAD][UNK][unused0]",
    "  two  spaces\t\ttabs \r\n\r\n  lines \n \n",
    "don't DON'T ſ'S l'été",
    "e\u0301 \u200b \ufeff \u00a0 \u3000 \u0085 \u2028",
    "名前は𝔘𝔫𝔦👩‍👩‍👧‍👦 العربية हिन्दी",
    "1234567 ²³ Ⅷ ٣",
    "Ġthe Ċ Â",
]


@cache
def documentation() -> tuple[str, ...]:
    """Some docstrings of the standard library: real text, always there."""
    folder = Path(ast.__file__).parent
    names = [
        "argparse",
        "ast",
        "asyncio/tasks",
        "collections/__init__",
        "datetime",
        "decimal",
        "difflib",
        "doctest",
        "email/message",
        "heapq",
        "pathlib",
        "pickle",
        "random",
        "socket",
        "statistics",
        "subprocess",
        "threading",
        "typing",
        "unittest/case",
    ]
    paths = [folder / f"{name}.py" for name in names]
    return tuple(text for path in paths if path.is_file() for text in docstrings(path))


def docstrings(path: Path) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield text


@cache
def learned(pattern: str, num_merges: int = 900) -> tuple[Pair, ...]:
    words = count_words(documentation(), pattern)
    return tuple(learn(words, num_merges=num_merges).merges)


@cache
def ours(pattern: str) -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json(learned(pattern), pattern=pattern))


def hugging_face(pattern: str, num_merges: int) -> Tokenizer:
    """What the library learns from the same documents, by its own cutting and counting."""
    tokenizer = Tokenizer(models.BPE())
    if pattern == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        split = pre_tokenizers.Split(Regex(PATTERNS["gpt4"]), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=256 + num_merges,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documentation(), trainer)
    return tokenizer


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
@pytest.mark.parametrize("num_merges", [50, 900, 5000])
def test_merges_equal_the_librarys_trainer(pattern: str, num_merges: int) -> None:
    theirs = json.loads(hugging_face(pattern, num_merges).to_str())["model"]
    merges = learned(pattern, num_merges)
    assert spell_merges(merges) == [tuple(pair) for pair in theirs["merges"]]
    assert len(merges) == num_merges
    our_ids = json.loads(tokenizer_json(merges, pattern=pattern, pad_to_multiple=1))["model"][
        "vocab"
    ]
    moved = {token: token_id + len(SPECIAL_TOKENS) for token, token_id in theirs["vocab"].items()}
    assert {token: our_ids[token] for token in moved} == moved


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
def test_ids_equal_the_librarys(pattern: str) -> None:
    theirs = hugging_face(pattern, 900)
    for text in [*documentation()[:200], *NAUGHTY]:
        moved = [token_id + len(SPECIAL_TOKENS) for token_id in theirs.encode(text).ids]
        assert ours(pattern).encode(text).ids == moved


@pytest.mark.parametrize("pattern", ["gpt2", "gpt4"])
@settings(max_examples=150, deadline=None)
@given(text=st.text() | st.lists(st.sampled_from(NAUGHTY)).map("".join))
@example("".join(NAUGHTY))
def test_every_text_survives_and_none_makes_a_special_token(pattern: str, text: str) -> None:
    ids = ours(pattern).encode(text).ids
    assert ours(pattern).decode(ids, skip_special_tokens=False) == text
    first_unused = NUM_FIXED_TOKENS + len(learned(pattern))
    assert all(len(SPECIAL_TOKENS) <= token_id < first_unused for token_id in ids)


def test_the_special_tokens_come_first_and_the_table_is_padded() -> None:
    vocab = ours("gpt4").get_vocab()
    assert [vocab[token] for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert len(vocab) == 1216  # 5 + 256 + 900 = 1161, up to a multiple of 64
    assert vocab["[unused0]"] == 1161
    assert not json.loads(ours("gpt4").to_str())["added_tokens"]


def test_the_file_loads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json(learned("gpt4"), pattern="gpt4"), encoding="utf-8")
    loaded = json.loads(Tokenizer.from_file(str(path)).to_str())
    assert loaded["model"] == json.loads(path.read_text("utf-8"))["model"]
    assert loaded["pre_tokenizer"] == json.loads(path.read_text("utf-8"))["pre_tokenizer"]
