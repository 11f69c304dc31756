"""The library's vocabularies: ours in form, the same from run to run, deaf to special names."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import CorpusError
from tasks.vocab.library import WORDS, repeatable_scores, train_library
from tests.tasks.vocab.library_texts import ALGORITHMS, digests, texts

SIZE = 800
NAMES = [*SPECIAL_TOKENS, "[unused0]", "[unused17]", "[", "]", "[[", "##", "▁", " ", "PAD", "MASK]"]


@cache
def definition(algorithm: str) -> str:
    return train_library(algorithm, iter(texts()), vocab_size=SIZE, pad_to_multiple=64)


@cache
def loaded(algorithm: str) -> Tokenizer:
    return Tokenizer.from_str(definition(algorithm))


def wild_texts() -> st.SearchStrategy[str]:
    parts = st.sampled_from(NAMES) | st.sampled_from("aPADMSKUNCLE0 \n字é▁") | st.text(max_size=3)
    return st.lists(parts, max_size=12).map("".join)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ids_are_laid_out_as_ours(algorithm: str) -> None:
    content = json.loads(definition(algorithm))
    vocab = content["model"]["vocab"]
    names = [name for name, _ in vocab] if algorithm == "unigram" else list(vocab)
    ids = loaded(algorithm).get_vocab()
    assert [ids[name] for name in names] == list(range(832)), "one name an id, in order"
    assert tuple(names[:5]) == SPECIAL_TOKENS
    assert names[SIZE:] == [f"[unused{number}]" for number in range(32)]
    assert content["added_tokens"] == []
    assert "[unused0]" not in names[:SIZE]
    if algorithm == "unigram":
        assert content["model"]["unk_id"] == 1
    else:
        assert content["model"]["unk_token"] == "[UNK]"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=200, deadline=None)
@given(wild_texts())
@example("[MASK]")
@example("x[PAD] [UNK][CLS]\n[SEP]y")
@example("".join(NAMES))
def test_no_text_yields_a_special_or_unused_id(algorithm: str, text: str) -> None:
    for token_id in loaded(algorithm).encode(text).ids:
        assert token_id == 1 or len(SPECIAL_TOKENS) <= token_id < SIZE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_transformers_cuts_alike(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(definition(algorithm), encoding="utf-8")
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in texts():
        ids = loaded(algorithm).encode(text).ids
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == loaded(algorithm).decode(ids)


def test_orders_processes_and_threads_do_not_change_a_byte() -> None:
    expected = digests(0)
    assert len(set(expected)) == 9
    program = (
        "import sys; from tests.tasks.vocab.library_texts import digests; "
        "print(*digests(int(sys.argv[1])))"
    )
    for seed, threads in (("1", "1"), ("2", "2"), ("3", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        environment["TOKENIZERS_PARALLELISM"] = "false" if threads == "1" else "true"
        found = subprocess.run(
            [sys.executable, "-c", program, seed],
            env=environment,
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
        )
        assert found.stdout.split() == expected, found.stderr


def test_unigram_loses_nothing_it_knows() -> None:
    tokenizer = loaded("unigram")
    for text in texts():
        plain = text.replace("▁", " ")
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == plain


def test_unigram_learns_from_very_long_words_in_parts() -> None:
    word = "".join(random.Random(1).choices("ACGT", k=3000))
    text = train_library("unigram", [word + " " * 600 + word], vocab_size=40, pad_to_multiple=1)
    tokenizer = Tokenizer.from_str(text)
    encoding = tokenizer.encode(word)
    assert tokenizer.decode(encoding.ids) == word
    assert {256, 512, 2816} <= {end for _, end in encoding.offsets}
    assert tokenizer.decode(tokenizer.encode(f"a{' ' * 600}b").ids) == f"[UNK]{' ' * 600}[UNK]"


def test_unigram_marks_what_it_does_not_know() -> None:
    assert loaded("unigram").encode("a𝔘b").tokens == ["a", "𝔘", "b"]
    assert loaded("unigram").encode("a𝔘b").ids[1] == 1


def test_unigram_prefers_whole_frequent_words() -> None:
    tokens = loaded("unigram").encode("return the docstring").tokens
    assert tokens[1] == "▁the"


def test_unigram_learns_from_text_with_the_trainers_own_name_for_the_unknown() -> None:
    text = train_library("unigram", ["x<UNK>y a<UNK>b", "<UNK>"], vocab_size=60, pad_to_multiple=1)
    tokenizer = Tokenizer.from_str(text)
    assert tokenizer.decode(tokenizer.encode("a<UNK>").ids, skip_special_tokens=False) == "a<UNK>"


def test_scores_that_vary_by_their_last_digits_become_the_same() -> None:
    low, higher, highest = -5.0, -5.0 + 0.0001, -5.0 + (0.0001 + 0.0001)
    one = {"ab": -3.00000000001, "a": low, "b": higher, "d": highest, "c": -4.0, "cb": -3.0}
    other = {"cb": -3.00000000002, "ab": -3.0, "d": low, "b": highest, "a": higher, "c": -4.0}
    expected = [("ab", -3.0), ("cb", -3.0), ("c", -4.0), ("a", -5.0), ("b", -5.0), ("d", -5.0)]
    assert list(repeatable_scores(one, 6).items()) == expected
    assert list(repeatable_scores(other, 6).items()) == expected
    assert list(repeatable_scores(one, 5)) == ["ab", "c", "a", "b", "d"], "characters are kept"
    assert list(repeatable_scores(one, 4)) == ["c", "a", "b", "d"]


@pytest.mark.parametrize("room", [0, 1, 5])
def test_unigram_keeps_to_its_size_when_characters_nearly_fill_it(room: int) -> None:
    words = ["abcdef", "abcabc", "abcdefabc", "defdef"]
    text = train_library("unigram", words, vocab_size=5 + 6 + room, pad_to_multiple=1)
    assert Tokenizer.from_str(text).get_vocab_size() <= 5 + 6 + room
    assert Tokenizer.from_str(text).token_to_id("f") is not None


def test_wordpiece_knows_every_character_at_the_beginning_and_after() -> None:
    ids = loaded("wordpiece").get_vocab()
    assert {"t", "##t", "名", "##名", "(", "é"} <= set(ids)
    assert "##(" not in ids, "punctuation stands alone"
    assert loaded("wordpiece").encode("Tt").ids != loaded("wordpiece").encode("tt").ids, "cased"


def test_wordpiece_decodes_to_words() -> None:
    tokenizer = loaded("wordpiece")
    ids = tokenizer.encode("the  widest\nmodule, xqz").ids
    assert len(ids) > 5
    assert tokenizer.decode(ids, skip_special_tokens=False) == "the widest module , xqz"


def test_words_are_the_most_frequent_ones_ties_by_string() -> None:
    counts = Counter(word for text in texts() for word in regex.findall(WORDS, text))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    ids = loaded("words").get_vocab()
    assert sorted(ids, key=ids.__getitem__)[5:SIZE] == ranked[: SIZE - 5]
    text = f"{ranked[0]} {ranked[SIZE - 6]} {ranked[SIZE - 5]}"
    assert loaded("words").encode(text).ids == [5, SIZE - 1, 1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_small_corpus_gives_a_smaller_vocabulary(algorithm: str) -> None:
    text = train_library(algorithm, ["a b ab ab"], vocab_size=5000, pad_to_multiple=16)
    tokenizer = Tokenizer.from_str(text)
    assert tokenizer.get_vocab_size() == 16
    assert tokenizer.encode("ab").ids[0] > 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("blank", [[], [""], [" ", "\n\t", ""]])
def test_blank_texts_are_refused(algorithm: str, blank: list[str]) -> None:
    with pytest.raises(CorpusError, match="no training text"):
        train_library(algorithm, blank, vocab_size=100, pad_to_multiple=1)


@pytest.mark.parametrize(("algorithm", "num_needed"), [("unigram", 205), ("wordpiece", 405)])
@pytest.mark.parametrize("short_by", [1, 100, 200])
def test_a_large_alphabet_is_refused(algorithm: str, num_needed: int, short_by: int) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(200))
    with pytest.raises(CorpusError, match=f"needs {num_needed} tokens.*raise it, or use"):
        train_library(algorithm, [text], vocab_size=num_needed - short_by, pad_to_multiple=1)
    train_library(algorithm, [text], vocab_size=num_needed, pad_to_multiple=1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_texts_are_read_once_and_their_errors_come_through(algorithm: str) -> None:
    def broken() -> Iterator[str]:
        yield "some text"
        raise CorpusError("shard 2 is damaged")

    with pytest.raises(CorpusError, match="shard 2 is damaged"):
        train_library(algorithm, broken(), vocab_size=100, pad_to_multiple=1)
