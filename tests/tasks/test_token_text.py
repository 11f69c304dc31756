"""Tokens are spelled as the text they stand for, whatever kind of tokenizer made them."""

import pytest
from tokenizers import Tokenizer

from model.bpe.alphabet import Alphabet
from model.bpe.tokenizer import END_OF_WORD, tokenizer_json
from tasks.token_text import TokenText
from tests.tasks.vocab.given_tokenizers import GIVEN

EXACT = ("ignore_merges", "merged_names", "llama", "unigram_with_bytes")
TEXT = "The lowest of  two\n\tl'été 名前 东京 👩‍👩‍👧"


def spelled(tokenizer: Tokenizer, text: str) -> str:
    tokenizer.no_truncation()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return TokenText(tokenizer).spell(ids)


@pytest.mark.parametrize("kind", EXACT)
def test_what_loses_nothing_spells_the_text_itself(kind: str) -> None:
    assert spelled(GIVEN[kind](), TEXT).lstrip(" ") == TEXT


@pytest.mark.parametrize("kind", GIVEN)
def test_words_of_every_kind_stand_between_blanks(kind: str) -> None:
    tokenizer = GIVEN[kind]()
    assert spelled(tokenizer, "the ship and the sail").split() == "the ship and the sail".split()


def test_tokens_one_by_one_spell_what_they_spell_together() -> None:
    for kind in ("bert", "clip", "xlm", "word_level"):
        tokenizer = GIVEN[kind]()
        ids = tokenizer.encode("the ship sails", add_special_tokens=False).ids
        text = TokenText(tokenizer)
        assert "".join(text.spell([one]) for one in ids) == text.spell(ids)


def test_bytes_of_our_own_vocabulary() -> None:
    text = TokenText(Tokenizer.from_str(tokenizer_json([], pattern="gpt2")))
    tokenizer = Tokenizer.from_str(tokenizer_json([], pattern="gpt2"))
    ids = tokenizer.encode("é名").ids
    assert text.spell(ids) == "é名"
    assert text.spell(ids[1:4]) == "\\xa9\\xe5\\x90"
    assert text.spell([4, 0]) == "[MASK][PAD]"
    assert text.spell([99_999]) == " [id 99999]"


def test_characters_with_an_end_of_word() -> None:
    alphabet = Alphabet(tuple(one.encode() for one in ["a", "b", END_OF_WORD]), is_bytes=False)
    tokenizer = Tokenizer.from_str(tokenizer_json([(1, 2)], pattern="gpt2", alphabet=alphabet))
    ids = tokenizer.encode("ab  a").ids
    assert len(ids) == 4
    assert TokenText(tokenizer).spell(ids) == "ab a "
    assert TokenText(tokenizer).spell(tokenizer.encode("xa").ids) == "[UNK]a "
