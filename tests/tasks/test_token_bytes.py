"""Tokens come to the bytes of the text that they were cut from, whatever kind they are."""

import json
from collections.abc import Callable
from functools import cache

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from model.bpe.alphabet import characters_of
from model.bpe.learner import learn
from model.bpe.tokenizer import (
    END_OF_WORD,
    NUM_FIXED_TOKENS,
    PATTERNS,
    SPECIAL_TOKENS,
    tokenizer_json,
)
from model.bpe.words import CountedWords
from tasks.token_bytes import token_bytes
from tasks.token_names import is_byte, is_placeholder
from tasks.vocab.library import WORDS, train_library
from tests.tasks.vocab.library_texts import texts


def counted(words: list[str]) -> CountedWords:
    return CountedWords.from_pairs([(word.encode(), 2) for word in dict.fromkeys(words)])


def byte_level() -> Tokenizer:
    words = counted([word for text in texts() for word in regex.findall(PATTERNS["gpt4"], text)])
    return Tokenizer.from_str(
        tokenizer_json(learn(words, num_merges=400).merges, pattern="gpt4", pad_to_multiple=64)
    )


def characters() -> Tokenizer:
    words = counted([word + END_OF_WORD for text in texts() for word in text.split()])
    learned = learn(words, num_merges=400, alphabet=characters_of(words, max_characters=900))
    return Tokenizer.from_str(
        tokenizer_json(learned.merges, pattern="gpt4", alphabet=learned.alphabet)
    )


def library(algorithm: str) -> Tokenizer:
    text = train_library(algorithm, texts(), vocab_size=800, pad_to_multiple=64)
    return Tokenizer.from_str(text)


def llama() -> Tokenizer:
    """Marks for spaces by a normalizer alone, and bytes for what is unknown."""
    letters = ["▁", *"thelowsrin", "he", "the", "▁the"]
    names = ["[PAD]", "[UNK]", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("h", "e"), ("t", "he"), ("▁", "the")]
    model = models.BPE(
        {name: token_id for token_id, name in enumerate(names)},
        merges,
        unk_token="[UNK]",
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer


def end_of_word_model() -> Tokenizer:
    """The end-of-word mark in the model itself, with no word about it in the decoder."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=["[UNK]"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte_level": byte_level,
    "characters": characters,
    "unigram": lambda: library("unigram"),
    "wordpiece": lambda: library("wordpiece"),
    "words": lambda: library("words"),
    "llama": llama,
    "end_of_word_model": end_of_word_model,
}


@cache
def kind_of(kind: str) -> tuple[Tokenizer, list[int]]:
    tokenizer = KINDS[kind]()
    return tokenizer, token_bytes(tokenizer, tokenizer.get_vocab_size())


def total(kind: str, text: str) -> int:
    tokenizer, sizes = kind_of(kind)
    return sum(sizes[token_id] for token_id in tokenizer.encode(text).ids)


def num_bytes(text: str) -> int:
    return len(text.encode())


@pytest.mark.parametrize("kind", ["byte_level", "llama"])
@settings(max_examples=200, deadline=None)
@given(st.text())
def test_every_byte_counts_once_where_nothing_is_lost(kind: str, text: str) -> None:
    text = text.replace("▁", "_")
    assert total(kind, text) == num_bytes(text)


def test_every_byte_of_known_text_counts_once_with_marks_for_spaces() -> None:
    for text in texts():
        assert total("unigram", text) == num_bytes(text.replace("▁", " "))


@pytest.mark.parametrize("kind", ["characters", "end_of_word_model"])
def test_a_word_and_its_end_count_with_marks_for_ends(kind: str) -> None:
    for text in texts():
        words = text.split()
        assert total(kind, text) == sum(num_bytes(word) + 1 for word in words)


def test_bytes_without_white_space_count_for_wordpiece() -> None:
    for text in texts():
        assert total("wordpiece", text) == sum(map(num_bytes, text.split()))


def test_bytes_of_known_words_count_for_words() -> None:
    tokenizer, _ = kind_of("words")
    for text in texts():
        known = [w for w in regex.findall(WORDS, text) if tokenizer.token_to_id(w) is not None]
        assert total("words", text) == sum(map(num_bytes, known))


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_for_no_text_has_no_bytes_and_all_else_has(kind: str) -> None:
    tokenizer, sizes = kind_of(kind)
    assert len(sizes) == tokenizer.get_vocab_size()
    for name, token_id in tokenizer.get_vocab().items():
        assert (sizes[token_id] == 0) == is_placeholder(name), name


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("byte_level", "Ġt", 2),
        ("byte_level", "Ń", 1),
        ("characters", "名", 3),
        ("characters", END_OF_WORD, 1),
        ("unigram", "▁the", 4),
        ("unigram", "▁", 1),
        ("wordpiece", "##名", 3),
        ("wordpiece", "##t", 1),
        ("wordpiece", "(", 1),
        ("words", "the", 3),
        ("llama", "<0x41>", 1),
        ("llama", "<0xFF>", 1),
        ("llama", "▁the", 4),
        ("end_of_word_model", "the</w>", 4),
        ("end_of_word_model", "t", 1),
    ],
)
def test_names_stand_for_so_many_bytes(kind: str, name: str, expected: int) -> None:
    tokenizer, sizes = kind_of(kind)
    assert sizes[tokenizer.token_to_id(name)] == expected


def test_a_byte_levels_tokens_have_a_byte_for_every_character() -> None:
    tokenizer, sizes = kind_of("byte_level")
    ids = tokenizer.get_vocab()
    learned = sorted(ids, key=ids.__getitem__)[len(SPECIAL_TOKENS) : NUM_FIXED_TOKENS + 400]
    assert [sizes[ids[name]] for name in learned] == [len(name) for name in learned]


def test_a_byte_name_is_plain_text_where_nothing_falls_back_to_bytes() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "<0x41>": 1}, unk_token="[UNK]"))
    assert token_bytes(tokenizer, 2) == [0, 6]


def test_the_unknown_token_has_no_bytes_whatever_its_name() -> None:
    tokenizer = Tokenizer(models.WordLevel({"oov": 0, "a": 1}, unk_token="oov"))
    assert token_bytes(tokenizer, 2) == [0, 1]
    pieces = [("a", -1.0), ("oov", 0.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1, byte_fallback=False))
    assert token_bytes(tokenizer, 2) == [1, 0]


def test_ids_beyond_the_tokenizers_have_no_bytes() -> None:
    tokenizer, sizes = kind_of("words")
    assert token_bytes(tokenizer, 1000) == [*sizes, *[0] * (1000 - len(sizes))]


def test_placeholders_and_bytes_are_known_by_their_whole_names() -> None:
    assert all(map(is_placeholder, [*SPECIAL_TOKENS, "[unused0]", "[unused12]"]))
    assert not any(map(is_placeholder, ["[unused]", "[unused1", "x[unused1]", "[mask]", "MASK"]))
    assert [is_byte(name) for name in ("<0x0A>", "<0x0a>", "<0x100>")] == [True, False, False]


def test_a_definition_without_decoder_or_pre_tokenizer_is_read() -> None:
    content = json.loads(Tokenizer(models.WordLevel({"é": 0}, unk_token="[UNK]")).to_str())
    assert content["decoder"] is content["pre_tokenizer"] is None
    assert token_bytes(Tokenizer.from_str(json.dumps(content)), 1) == [2]
