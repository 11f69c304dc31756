"""An adopted tokenizer cuts text as the given one does, under our ids, deaf to special names."""

import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from model.bpe.alphabet import characters_of
from model.bpe.learner import learn
from model.bpe.tokenizer import END_OF_WORD, SPECIAL_TOKENS, tokenizer_json
from model.bpe.words import CountedWords
from model.errors import ArtifactError, RequestError
from tasks.vocab.adopt import adopt_tokenizer, unmatched_tokens
from tasks.vocab.library import train_library
from tests.tasks.vocab.given_tokenizers import GIVEN, gpt2
from tests.tasks.vocab.library_texts import ALGORITHMS, texts

NAMES = [*SPECIAL_TOKENS, "[unused0]", "[unused7]", "<unk>", "<s>", "[mask]", "[", "]", "▁[", "##"]


@cache
def both(kind: str) -> tuple[Tokenizer, Tokenizer, str]:
    """A tokenizer, itself as adopted, and what it calls unknown."""
    tokenizer = GIVEN[kind]()
    adopted = adopt(tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    model = json.loads(tokenizer.to_str())["model"]
    if model["type"] == "Unigram":
        return tokenizer, adopted, model["vocab"][model["unk_id"]][0]
    return tokenizer, adopted, model["unk_token"]


def adopt(tokenizer: Tokenizer | str, pad_to_multiple: int = 64) -> Tokenizer:
    return Tokenizer.from_str(adopt_text(tokenizer, pad_to_multiple))


def adopt_text(tokenizer: Tokenizer | str, pad_to_multiple: int = 64) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        text = tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
        path.write_text(text, encoding="utf-8")
        return adopt_tokenizer(path, pad_to_multiple=pad_to_multiple)


def names_of(tokenizer: Tokenizer, text: str, unknown: str | None) -> list[str]:
    """The names of a text's tokens, the unknown one by ours."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    names = [tokenizer.id_to_token(token_id) for token_id in ids]
    return ["[UNK]" if name == unknown else name for name in names]


def is_ordinary(text: str) -> bool:
    special = [*SPECIAL_TOKENS, "[unused", "<|endoftext|>", "<unk>", "<s>", "</s>", "<pad>"]
    special += ["<mask>", "<oov>", "<0x0A>"]
    return not any(name.lower() in text.lower() for name in special)


@pytest.mark.parametrize("kind", GIVEN)
def test_real_text_is_cut_alike(kind: str) -> None:
    tokenizer, adopted, unknown = both(kind)
    lines = [line for text in texts() for line in text.splitlines() if is_ordinary(line)]
    assert len(lines) > 200
    for line in [*lines, *filter(is_ordinary, texts())]:
        assert names_of(adopted, line, unknown) == names_of(tokenizer, line, unknown)


@pytest.mark.parametrize("kind", GIVEN)
@settings(max_examples=100, deadline=None)
@given(text=st.text() | st.text("the lowest[]MASK\n ▁#?é", max_size=20))
def test_any_ordinary_text_is_cut_alike(kind: str, text: str) -> None:
    tokenizer, adopted, unknown = both(kind)
    if is_ordinary(text):
        assert names_of(adopted, text, unknown) == names_of(tokenizer, text, unknown)


def test_an_unknown_token_that_text_also_spells_becomes_two() -> None:
    tokenizer, adopted, _ = both("clip")
    assert tokenizer.encode("a𝔘? b").ids[1] == tokenizer.encode("a? b").ids[1]
    assert adopted.encode("?a 𝔘b").tokens[0] == "?"
    assert 1 not in adopted.encode("?a").ids
    assert 1 in adopted.encode("𝔘b").ids


@pytest.mark.parametrize("kind", GIVEN)
@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*NAMES, *"aM s\n▁"]) | st.text(max_size=2), max_size=10))
@example(["[MASK]"])
@example(["x", "[PAD]", " ", "[UNK]", "[CLS]", "\n", "[SEP]", "y[unused0]"])
@example(["［ＭＡＳＫ］"])
def test_no_text_yields_a_special_or_unused_id(kind: str, parts: list[str]) -> None:
    _, adopted, _ = both(kind)
    for token_id in adopted.encode("".join(parts)).ids:
        assert token_id == 1 or token_id > 4
        assert not adopted.id_to_token(token_id).startswith("[unused")


@pytest.mark.parametrize("kind", GIVEN)
def test_ids_are_laid_out_as_ours(kind: str) -> None:
    tokenizer, adopted, _ = both(kind)
    names = sorted(adopted.get_vocab(), key=adopted.get_vocab().__getitem__)
    assert sorted(adopted.get_vocab().values()) == list(range(len(names)))
    assert len(names) % 64 == 0
    assert tuple(names[:5]) == SPECIAL_TOKENS
    given_ids = tokenizer.get_vocab()
    kept = [given_ids[name] for name in names[5:] if not name.startswith("[unused")]
    assert kept == sorted(kept), "in the order of the given ids"
    content = json.loads(adopted.to_str())
    assert content["added_tokens"] == []
    assert content["post_processor"] is content["truncation"] is content["padding"] is None
    assert not {"<s>", "</s>", "<pad>", "<mask>", "<unk>", "<oov>"} & set(names)


@pytest.mark.parametrize("kind", GIVEN)
def test_transformers_cuts_alike(kind: str, tmp_path: Path) -> None:
    _, adopted, _ = both(kind)
    adopted.save(str(tmp_path / "tokenizer.json"))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in texts():
        assert theirs(text)["input_ids"] == adopted.encode(text).ids


@pytest.mark.parametrize("kind", GIVEN)
def test_decoding_is_the_given_ones(kind: str) -> None:
    tokenizer, adopted, _ = both(kind)
    for text in filter(is_ordinary, texts()):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if kind != "clip" and "[UNK]" not in names_of(tokenizer, text, both(kind)[2]):
            assert adopted.decode(adopted.encode(text).ids) == tokenizer.decode(ids)


@pytest.mark.parametrize("kind", GIVEN)
def test_adopting_twice_changes_nothing(kind: str) -> None:
    adopted = adopt_text(GIVEN[kind]())
    assert adopt_text(adopted) == adopted


@pytest.mark.parametrize("kind", ["gpt2", "bert", "cased_bert"])
def test_a_guard_is_put_only_where_it_is_needed(kind: str) -> None:
    tokenizer, adopted, _ = both(kind)
    before, after = (json.loads(each.to_str())["pre_tokenizer"] for each in (tokenizer, adopted))
    assert before == after


def test_our_own_tokenizers_come_back_as_they_were() -> None:
    words = CountedWords.from_pairs([(b" lowest", 3), (b" newest", 4), (b"[", 9)])
    ours = tokenizer_json(learn(words, num_merges=9).merges, pattern="gpt4")
    assert adopt_text(ours) == ours
    ends = [("lowest" + END_OF_WORD, 3), ("newest" + END_OF_WORD, 4)]
    words = CountedWords.from_pairs([(word.encode(), count) for word, count in ends])
    learned = learn(words, num_merges=9, alphabet=characters_of(words, max_characters=50))
    ours = tokenizer_json(learned.merges, pattern="gpt4", alphabet=learned.alphabet)
    assert adopt_text(ours) == ours


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_librarys_tokenizers_keep_their_ids(algorithm: str) -> None:
    ours = train_library(algorithm, texts(), vocab_size=600, pad_to_multiple=64)
    before, after = Tokenizer.from_str(ours), adopt(ours)
    assert before.get_vocab() == after.get_vocab()
    for text in texts():
        assert after.encode(text).ids == before.encode(text).ids
    if algorithm != "words":  # of its expression nobody can tell that it cuts every bracket off
        assert adopt_text(ours) == ours


def test_a_lowest_score_that_is_dropped_still_charges_the_unknown() -> None:
    vocab = [(name, 0.0) for name in ("<unk>", *SPECIAL_TOKENS)]
    vocab += [("<s>", -100.0), ("ab", -40.0), ("c", -40.0), ("bc", -1.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=False))
    tokenizer.add_special_tokens(["<s>"])
    assert tokenizer.encode("abc").tokens == ["ab", "c"], "dearer than bc, cheaper than unknown, bc"
    assert adopt(tokenizer, 1).encode("abc").tokens == ["ab", "c"]


def test_unmatched_tokens_are_named(tmp_path: Path) -> None:
    tokenizer = gpt2()
    tokenizer.add_tokens(["    ", "corpusmithery", "the", "[unused3]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert unmatched_tokens(tmp_path / "tokenizer.json") == ["    ", "corpusmithery"]
    adopted = adopt(tokenizer)
    assert adopted.decode(adopted.encode("a    corpusmithery").ids) == "a    corpusmithery"


def test_an_older_form_of_the_file_is_read() -> None:
    content = json.loads(gpt2().to_str())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    assert adopt_text(json.dumps(content)) == adopt_text(gpt2())


def test_ids_with_holes_are_closed_up() -> None:
    tokenizer = Tokenizer(models.WordLevel({"b": 90, "<unk>": 7, "a": 3}, unk_token="<unk>"))
    adopted = adopt(tokenizer, 1)
    ids = {name: token_id for token_id, name in enumerate(SPECIAL_TOKENS)}
    assert adopted.get_vocab() == {**ids, "a": 5, "b": 6}


def test_dropout_is_left_out() -> None:
    content = json.loads(gpt2().to_str())
    content["model"]["dropout"] = 0.5
    adopted = adopt(json.dumps(content))
    assert json.loads(adopted.to_str())["model"]["dropout"] is None


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(RequestError, match=r"vocab\.tokenizer: .* is no file; set vocab"):
            adopt_tokenizer(path, pad_to_multiple=1)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x0a\x0e\x0a\x05<unk>\xff\xfe", "is no text"),
        (b"", "is no tokenizer"),
        (b"{not json", "is no tokenizer"),
        (b"[]", "is no tokenizer"),
        (b'{"model": {"type": "Other"}}', "is no tokenizer"),
        (Tokenizer(models.BPE()).to_str().encode(), "without a vocabulary"),
        (Tokenizer(models.WordLevel(unk_token="<unk>")).to_str().encode(), "without a vocabulary"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{expected}.*set vocab\.tokenizer"):
        adopt_tokenizer(path, pad_to_multiple=1)
