"""Tokens are joined to words as their text is, whatever kind of tokenizer cut it."""

import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from model.config import EncoderConfig
from model.errors import ArtifactError
from model.masking import Masking, WordJoins, mask_for_training
from tasks.token_names import is_placeholder
from tasks.word_joins import word_joins
from tests.tasks.test_token_bytes import KINDS, kind_of
from tests.tasks.vocab.given_tokenizers import GIVEN
from tests.tasks.vocab.library_texts import texts
from tests.tasks.vocab.test_adopted_tokenizer import both

EVERY = [*KINDS, *(f"adopted_{kind}" for kind in GIVEN)]
WHOLE_WORDS = ["words", "adopted_word_level"]
CUT_AT_UNDERSCORES = ["wordpiece", "adopted_bert", "adopted_cased_bert"]
MARKS = ["▁", "Ġ", "\ue000", "</w>"]


@cache
def joined(kind: str) -> tuple[Tokenizer, WordJoins]:
    own = kind.removeprefix("adopted_")
    tokenizer = kind_of(kind)[0] if own == kind else both(own)[1]
    return tokenizer, word_joins(tokenizer, tokenizer.get_vocab_size())


def groups(tokenizer: Tokenizer, joins: WordJoins, text: str) -> list[str]:
    """The tokens of a text, those of a word side by side with a plus between them."""
    encoding = tokenizer.encode(text)
    words: list[str] = []
    for place, (name, token_id) in enumerate(zip(encoding.tokens, encoding.ids, strict=True)):
        before = encoding.ids[place - 1]
        if place and joins.ends_inside_V[before] and joins.starts_inside_V[token_id]:
            words[-1] += f"+{name}"
        else:
            words.append(name)
    return words


def in_word(character: str) -> bool:
    """Whether a character belongs to a word that spaces tell, by its name and category."""
    name = unicodedata.name(character, "")
    if name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI")):
        return False
    return unicodedata.category(character)[0] in "LMN" or character == "_"


def lines(*, by: Callable[[str], bool]) -> list[str]:
    return [line for text in texts() for line in text.splitlines() if by(line)]


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in WHOLE_WORDS])
def test_neighbours_are_joined_where_no_word_ends_between_them(kind: str) -> None:
    """Held against the text itself, of which the library says what each token was cut from."""
    tokenizer, joins = joined(kind)
    numbers = {True: 0, False: 0}
    for line in lines(by=lambda line: all(map(str.isascii, line)) or "été" in line):
        encoding = tokenizer.encode(line)
        shown = line.replace("_", "-") if kind in CUT_AT_UNDERSCORES else line
        spans = list(zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True))
        for (first, name, span), (second, other, span_after) in pairwise(spans):
            if 1 in (first, second) or name in MARKS or other in MARKS:
                continue
            end, begin = span[1], span_after[0]
            touching = begin == end and in_word(shown[end - 1]) and in_word(shown[begin])
            expected = touching or begin < end  # parts of one character overlap
            numbers[expected] += 1
            found = joins.ends_inside_V[first] and joins.starts_inside_V[second]
            assert found == expected, (line, name, other)
    assert min(numbers.values()) > 100


@pytest.mark.parametrize("kind", WHOLE_WORDS)
def test_where_tokens_are_words_nothing_is_joined(kind: str) -> None:
    _, joins = joined(kind)
    assert not joins.starts_inside_V.any()
    assert not joins.ends_inside_V.any()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("byte_level", "Ġl+ow+est Ġw+id+est , Ġd+on ' t Ġc+af+Ã+© Ġ ("),
        ("characters", "low+es+t\ue000 wi+de+st ,\ue000 d+on 't\ue000 ca+f+é+\ue000 ("),
        ("unigram", "▁lowe+st ▁wi+de+st , ▁do+n ' t ▁ca+f+é ▁("),
        ("wordpiece", "l+##ow+##es+##t w+##ide+##st , d+##on ' t c+##af+##é ("),
        ("llama", "▁+l+o+w+e+s+t ▁+w+i+<0x64>+e+s+t <0x2C> ▁+<0x64>+o+n <0x27> t"),
        ("adopted_clip", "low+es+t</w> wi+de+st ,</w> d+on 't</w> ca+f+é</w>"),
        ("adopted_xlm", "▁+l+ow+e+st ▁w+id+e+st , ▁don't ▁+c+a+f+é"),
    ],
)
def test_words_of_every_kind(kind: str, expected: str) -> None:
    found = groups(*joined(kind), "the lowest widest, don't café (x")
    assert expected in " ".join(found)


def test_words_of_a_foreign_wordpiece() -> None:
    """Its trainer breaks ties as its hashes fall, so where it cuts a word is not ours to say."""
    found = groups(*joined("adopted_spaced_wordpiece"), "the lowest widest, don't café (x")
    assert any("+##" in word for word in found)
    whole = " ".join(found).replace("+##", "")
    assert whole.startswith("the lowest widest ##, don ##'t caf")


@pytest.mark.parametrize("kind", ["byte_level", "llama", "wordpiece", "unigram"])
def test_scripts_without_spaces_tell_no_words_but_characters_stay_whole(kind: str) -> None:
    tokenizer, joins = joined(kind)
    found = groups(tokenizer, joins, "東京都")
    assert len([word for word in found if word != "▁"]) == 3


@pytest.mark.parametrize("kind", ["byte_level", "llama", "adopted_gpt2", "adopted_llama"])
@settings(max_examples=200, deadline=None)
@given(st.text())
def test_the_bytes_of_a_character_are_never_parted(kind: str, text: str) -> None:
    tokenizer, joins = joined(kind)
    encoding = tokenizer.encode(text)
    spans = list(zip(encoding.ids, encoding.tokens, encoding.offsets, strict=True))
    for (first, name, span), (second, _, span_after) in pairwise(spans):
        if name not in MARKS and span_after[0] < span[1]:
            assert joins.ends_inside_V[first]
            assert joins.starts_inside_V[second]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("caf", "Ã", True),  # most of what C3 begins are letters
        ("caf", "â", False),  # E2 begins dashes and signs,
        ("a", "ð", False),  # F0 ideographs,
        ("a", "à", False),  # and E0 many a script, Thai among them
        ("ti", "á", True),  # but E1 the letters of Vietnamese
        ("Ã", "©", True),
        ("©", "s", True),  # the end of an é, most likely
        ("âĢ", "Ķ", True),
        ("âĢĶ", "the", False),
        ("the", "âĢĶ", False),
        ("the", "Ġ", False),
        ("the", "Ċ", False),
        ("Ċ", "the", False),
        ("Ġ", "the", True),
        ("ĠĠ", "the", False),
        ("_", "2", True),
        (".", "2", False),
        ("e", "Ìģ", True),  # a mark on the letter before it
    ],
)
def test_bytes_are_read_as_the_characters_they_are_part_of(
    first: str, second: str, expected: bool
) -> None:
    names = ["[PAD]", "[UNK]", *dict.fromkeys([first, second])]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    joins = word_joins(tokenizer, len(names))
    ids = tokenizer.token_to_id(first), tokenizer.token_to_id(second)
    assert (joins.ends_inside_V[ids[0]] and joins.starts_inside_V[ids[1]]) == expected


def test_bytes_that_no_text_has_are_read_too() -> None:
    tokenizer, joins = joined("llama")
    for byte in (0xC0, 0xF5, 0xFF):
        token_id = tokenizer.token_to_id(f"<0x{byte:02X}>")
        assert not joins.starts_inside_V[token_id]


@pytest.mark.parametrize("kind", EVERY)
def test_what_stands_for_no_text_is_never_joined(kind: str) -> None:
    tokenizer, joins = joined(kind)
    for name, token_id in tokenizer.get_vocab().items():
        if is_placeholder(name):
            assert not joins.starts_inside_V[token_id], name
            assert not joins.ends_inside_V[token_id], name


def test_ids_beyond_the_tokenizers_are_never_joined() -> None:
    tokenizer, joins = joined("wordpiece")
    longer = word_joins(tokenizer, 1000)
    assert len(longer.starts_inside_V) == len(longer.ends_inside_V) == 1000
    size = len(joins.starts_inside_V)
    assert (longer.starts_inside_V[:size] == joins.starts_inside_V).all()
    assert not longer.starts_inside_V[size:].any()
    assert not longer.ends_inside_V[size:].any()


def test_a_letter_that_stands_for_the_space_ends_words() -> None:
    model = models.Unigram([("[UNK]", 0.0), ("_a", -1.0), ("b", -1.0), ("_", -2.0)], unk_id=0)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("_")
    joins = word_joins(tokenizer, 4)
    assert groups(tokenizer, joins, "ab a b") == ["_a+b", "_a", "_+b"]


def test_a_prefix_in_a_model_of_merges_continues_words() -> None:
    vocab = {"[UNK]": 0, "a": 1, "##b": 2, "b": 3}
    model = models.BPE(vocab, [], continuing_subword_prefix="##", unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert groups(tokenizer, word_joins(tokenizer, 4), "ab a b abb") == [
        "a+##b",
        "a",
        "b",
        "a+##b+##b",
    ]


def test_spaces_that_nothing_cuts_or_marks_end_words() -> None:
    vocab = {"a": 0, "b": 1, " ": 2}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    assert groups(tokenizer, word_joins(tokenizer, 3), "ab  a") == ["a+b", " ", " +a"]


def test_an_empty_name_is_joined_to_nothing() -> None:
    tokenizer = Tokenizer(models.BPE({"": 0, "a": 1}, []))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    joins = word_joins(tokenizer, 2)
    assert joins.ends_inside_V.tolist() == joins.starts_inside_V.tolist() == [False, True]


@pytest.mark.parametrize("normalizer", [None, normalizers.Replace("a", "b")])
def test_a_tokenizer_that_tells_no_words_is_refused(
    normalizer: normalizers.Normalizer | None,
) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    with pytest.raises(ArtifactError, match=r"set pretrain\.whole_words = false"):
        word_joins(tokenizer, 2)


@pytest.mark.parametrize("kind", ["byte_level", "characters", "unigram", "wordpiece", "llama"])
def test_words_of_real_text_are_masked_whole(kind: str) -> None:
    tokenizer, joins = joined(kind)
    config = EncoderConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=8,
        num_layers=1,
        num_heads=1,
        intermediate_size=8,
    )
    text = " ".join(lines(by=lambda line: line.isascii() and len(line) > 40)[:20])
    encoding = tokenizer.encode(text)
    ids = np.array(encoding.ids)
    masking = Masking(mask_frac=0.2, joins=joins)
    masked = mask_for_training(ids, config, masking, mask_frac=0.2, seed=0, epoch=0, row=0)
    hidden, shown = np.zeros((2, len(text)), dtype=np.bool_)
    for token, (begin, end) in enumerate(encoding.offsets):
        part = hidden if token in masked.positions_M else shown
        part[begin:end] = True
    words = [word.span() for word in regex.finditer(r"\w+", text)]
    is_hidden = [bool(hidden[begin:end].any()) for begin, end in words]
    assert [not shown[begin:end].any() for begin, end in words] == is_hidden
    assert 0.1 < np.mean(is_hidden) < 0.3
