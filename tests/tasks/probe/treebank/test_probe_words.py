"""Words and tokens: every word finds its tokens, and its states are theirs in every layer."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from model.batch import batch_from_sequences
from model.bpe.tokenizer import tokenizer_json
from tasks.probe.treebank.conllu import Sentence, read_sentences
from tasks.probe.treebank.word_states import sentence_attention, word_states
from tasks.probe.treebank.word_tokens import Aligned, align
from tests.tasks.probe.encoders import CONFIG, plain_encoder
from tests.tasks.probe.treebank.treebanks import chain, row

BYTES = Tokenizer.from_str(tokenizer_json([], pattern="gpt2", pad_to_multiple=1))


def sentences(*texts: str) -> list[Sentence]:
    found = [one for text in texts for one in read_sentences("a", text.encode().split(b"\n"))]
    assert all(isinstance(one, Sentence) for one in found)
    return [one for one in found if isinstance(one, Sentence)]


def tokens_of(aligned: Aligned, tokenizer: Tokenizer, number: int = 0) -> list[list[str]]:
    one = aligned.sentences[number]
    return [
        [
            str(tokenizer.id_to_token(int(one.tokens_L[token])))
            for token in one.token_P[one.word_P == word]
        ]
        for word in range(one.num_words)
    ]


def words_and_marks() -> Tokenizer:
    """Tokens that reach over words: `the end` is one, `a` and `b` are others."""
    tokenizer = Tokenizer(
        models.WordLevel({"[UNK]": 1, "the end": 5, "a": 6, "b": 7, "é": 8}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("|", "removed")
    return tokenizer


def test_a_words_tokens_are_those_that_share_its_characters() -> None:
    aligned = align(BYTES, sentences(chain("ab", "é")), max_tokens=64)
    assert tokens_of(aligned, BYTES) == [["a", "b"], ["Ã", "©"]]  # the blank is no word's
    assert len(aligned.sentences[0].tokens_L) == 5
    assert aligned.num_tokens == 5


def test_a_token_over_two_words_belongs_to_both() -> None:
    aligned = align(words_and_marks(), sentences(chain("the", "end")), max_tokens=64)
    assert tokens_of(aligned, words_and_marks()) == [["the end"], ["the end"]]


def test_words_of_one_place_share_its_tokens() -> None:
    text = "\n".join([row("1-2", "du"), row(1, "de"), row(2, "le", head=1), ""])
    aligned = align(BYTES, sentences(text), max_tokens=64)
    assert tokens_of(aligned, BYTES) == [["d", "u"], ["d", "u"]]


def test_a_sentence_too_long_and_one_that_loses_a_word_are_counted() -> None:
    tokenizer = words_and_marks()
    tokenizer.normalizer = normalizers.Replace("b", "|")
    given_sentences = sentences(chain("a"), chain("a", "b"), chain("é"))
    aligned = align(tokenizer, given_sentences, max_tokens=64)
    assert aligned.num_lost_words == 1
    assert aligned.kept_S.tolist() == [0, 2]
    short = align(BYTES, sentences(chain("abcd"), chain("abcde")), max_tokens=6)
    assert short.num_too_long == 1
    assert short.kept_S.tolist() == [0]


letters = st.text(st.characters(categories=["L", "N", "P", "S", "M"]), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(words=st.lists(letters, min_size=1, max_size=8))
def test_every_byte_of_every_word_is_found(words: list[str]) -> None:
    aligned = align(BYTES, sentences(chain(*words)), max_tokens=1000)
    assert aligned.num_words == len(words)
    counts = [len(tokens) for tokens in tokens_of(aligned, BYTES)]
    assert counts == [len(word.encode()) for word in words]


SENTENCES = sentences(chain("the", "dogs", "bark"), chain("a"), chain("so", "it", "goes", "on"))


def encoded(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States [K, L, D] and attention [K - 1, H, L, L] of a sentence alone, special tokens in."""
    aligned = align(BYTES, SENTENCES, max_tokens=64)
    tokens = aligned.sentences[number].tokens_L
    batch = batch_from_sequences([tokens], row_tokens=None, cls_id=2, sep_id=3, pad_id=0)
    with torch.inference_mode():
        seen = list(plain_encoder().observe(batch, attention=True))
    maps = [one.attention_BHLL[0] for one in seen if one.attention_BHLL is not None]
    return torch.stack([one.hidden_BLD[0] for one in seen]), torch.stack(maps)


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 1000])
def test_a_words_state_is_the_mean_of_its_tokens(tokens_per_batch: int) -> None:
    aligned = align(BYTES, SENTENCES, max_tokens=64)
    states_KWD = word_states(plain_encoder(), aligned, tokens_per_batch=tokens_per_batch)
    first_KWD = word_states(plain_encoder(), aligned, pooling="first")
    assert states_KWD.shape == (CONFIG.num_layers + 1, 8, CONFIG.hidden_size)
    assert states_KWD.dtype is torch.float32
    for number, first_word, spans in _expected():
        alone_KLD, _ = encoded(number)
        for word, (start, end) in enumerate(spans, first_word):
            mean_KD = alone_KLD[:, start + 1 : end + 1].mean(1)
            torch.testing.assert_close(states_KWD[:, word], mean_KD, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(
                first_KWD[:, word], alone_KLD[:, start + 1], atol=1e-5, rtol=1e-4
            )


def _expected() -> list[tuple[int, int, Sequence[tuple[int, int]]]]:
    """Sentence, its first word, and the tokens of each of its words: bytes here."""
    starts = np.cumsum([0, *(len(one.forms) for one in SENTENCES)])
    return [(number, int(starts[number]), one.spans) for number, one in enumerate(SENTENCES)]


def test_attention_comes_sentence_by_sentence_without_the_company() -> None:
    aligned = align(BYTES, SENTENCES, max_tokens=64)
    seen = set()
    for one in sentence_attention(plain_encoder(), aligned):
        _, alone_KHLL = encoded(one.sentence)
        torch.testing.assert_close(
            one.attention_HLL, alone_KHLL[one.layer - 1], atol=1e-5, rtol=1e-4
        )
        rows_sum = one.attention_HLL.sum(-1)
        torch.testing.assert_close(rows_sum, torch.ones_like(rows_sum), atol=1e-5, rtol=1e-5)
        is_part = one.is_part_WL
        assert is_part.shape == (len(SENTENCES[one.sentence].forms), one.attention_HLL.shape[1])
        assert not is_part[:, [0, -1]].any()
        lengths = [len(form) for form in SENTENCES[one.sentence].forms]
        assert is_part.sum(1).tolist() == lengths
        seen.add((one.layer, one.sentence))
    assert seen == {(layer, number) for layer in (1, 2, 3) for number in range(3)}
