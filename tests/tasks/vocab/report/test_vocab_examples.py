"""What is shown of cuts: by the merges themselves, and by rules that look for bad ones."""

import pytest
from tokenizers import Tokenizer

from model.bpe.reference import encode
from model.bpe.tokenizer import spell_symbols
from model.bpe.words import CountedWords
from tasks.vocab.config import VocabConfig
from tasks.vocab.report.doubtful import (
    Doubt,
    find_doubts,
    frequent_forms,
    inside_characters,
    many_pieces,
    not_after_the_word,
    repeated_entries,
    same_word,
)
from tasks.vocab.report.examples import MergeTables, show_examples, show_first_merges
from tasks.vocab.report.measures import Reading, Sample, read
from tests.tasks.vocab.inputs import small_rows
from tests.tasks.vocab.report.made import make_vocabulary, train_texts

TRAIN = train_texts(small_rows())


def tables_of(config: VocabConfig) -> tuple[MergeTables, CountedWords]:
    vocabulary = make_vocabulary(TRAIN, config)
    assert vocabulary.learned is not None
    assert vocabulary.words is not None
    return MergeTables(vocabulary.learned), vocabulary.words


def by_bytes(texts: list[str], sample: list[str], *, vocab_size: int = 300) -> Reading:
    """A sample cut by merges learned from other texts."""
    config = VocabConfig(vocab_size=vocab_size)
    return read(Tokenizer.from_str(make_vocabulary(texts, config).definition), Sample(sample))


@pytest.mark.parametrize("symbols", ["bytes", "characters"])
def test_examples_are_cut_as_the_reference_cuts(symbols: str) -> None:
    tables, words = tables_of(VocabConfig(vocab_size=500, symbols=symbols))
    learned = tables.learned
    examples = show_examples(words, tables)
    assert len(examples) == 10
    assert [one["count"] for one in examples] == sorted(
        (one["count"] for one in examples), reverse=True
    )
    spelling = spell_symbols(learned.merges, learned.alphabet)
    for one in examples:
        word = one["pretoken"].replace("[EoW]", "\ue000").encode()
        assert list(one["cuts"]) == ["10", "100", "all"]
        for name, tokens in one["cuts"].items():
            assert "".join(tokens) == one["pretoken"]
            merges = learned.merges[: None if name == "all" else int(name)]
            cut = encode(word, merges, learned.alphabet)
            shown = [spelling[symbol].decode().replace("\ue000", "[EoW]") for symbol in cut]
            assert tokens == shown


def test_longer_words_come_first_and_shorter_ones_fill_up() -> None:
    words = CountedWords.from_pairs(
        [(b" the", 9), (b" x1y2z3z4", 8), (b" harbour", 3), ("ไทยไทย".encode(), 2), (b"a", 2)]
    )
    vocabulary = make_vocabulary(["a"], VocabConfig(vocab_size=261))
    assert vocabulary.learned is not None
    examples = show_examples(words, MergeTables(vocabulary.learned))
    assert [one["pretoken"] for one in examples] == [" harbour", "ไทยไทย", " the"]
    assert list(examples[0]["cuts"]) == ["all"]


def test_a_giant_word_is_no_example() -> None:
    words = CountedWords.from_pairs([(b"a" * 10**6, 9), (b"harbour", 1)])
    vocabulary = make_vocabulary(["harbour harbour"], VocabConfig(vocab_size=300))
    assert vocabulary.learned is not None
    examples = show_examples(words, MergeTables(vocabulary.learned))
    assert [one["pretoken"] for one in examples] == ["harbour"]


def test_half_characters_are_shown_as_such() -> None:
    vocabulary = make_vocabulary(["a"], VocabConfig(vocab_size=261))
    assert vocabulary.learned is not None
    assert MergeTables(vocabulary.learned).show_cuts("é".encode()) == {"all": ["�", "�"]}


def test_first_merges_name_the_end_of_word() -> None:
    vocabulary = make_vocabulary(["the the"], VocabConfig(vocab_size=300, symbols="characters"))
    assert vocabulary.learned is not None
    shown = show_first_merges(vocabulary.learned)
    assert any("[EoW]" in merge for merge in shown)
    assert "\ue000" not in "".join(shown)


def test_frequent_words_in_the_most_pieces_come_first() -> None:
    sample = ["in the harbour, the qzqz and the voyage, qzqz voyage harbour xyxyxyx"]
    reading = by_bytes(["in the harbour the harbour the voyage"] * 2, sample)
    forms = frequent_forms(reading)
    assert {form.word for form in forms} == {"the", "harbour", "qzqz", "voyage"}  # seen twice
    doubt = many_pieces(forms)
    assert doubt.num_looked_at == 3
    assert doubt.examples[0]["word"] == "qzqz"
    assert "".join(doubt.examples[0]["pieces"]) == "qzqz"  # the space is a token by itself


def test_tokens_that_end_inside_a_character_are_counted() -> None:
    doubt = inside_characters(by_bytes(["a b"], ["é a € é"], vocab_size=261))
    assert (doubt.num_found, doubt.num_looked_at) == (1 + 2 + 1, 2 + 1 + 1 + 1 + 3 + 1 + 2)
    assert doubt.examples == [
        {"character": "é", "code_point": "U+00E9", "count": 2, "num_pieces": 2},
        {"character": "€", "code_point": "U+20AC", "count": 1, "num_pieces": 3},
    ]


def test_a_longer_form_that_is_cut_elsewhere_is_found() -> None:
    """`march` is whole; `marching` falls into `mar` and `ching`, `lands` after `land`."""
    texts = [" march"] * 5 + [" mar"] * 50 + ["ching"] * 50 + [" land"] * 50 + ["s"] * 50
    sample = ["a march march marching marching land land lands lands"]
    reading = by_bytes(texts, sample, vocab_size=290)
    doubt = not_after_the_word(frequent_forms(reading))
    assert (doubt.num_found, doubt.num_looked_at) == (1, 2)
    [example] = doubt.examples
    assert (example["word"], example["whole"]) == ("marching", "march")
    assert example["pieces"] == [" mar", "ching"]


def test_a_word_cut_otherwise_by_case_is_found() -> None:
    sample = ["a boat a boat Boat Boat of of Of Of"]
    doubt = same_word(frequent_forms(by_bytes([" boat of Of"] * 3, sample)))
    assert (doubt.num_found, doubt.num_looked_at) == (1, 2)
    [example] = doubt.examples
    assert example["count"] == 4
    assert [form["word"] for form in example["forms"]] == ["Boat", "boat"]


def test_rules_for_bytes_are_left_out_elsewhere() -> None:
    reading = by_bytes(["a b"], ["é a"])
    assert [d.rule for d in find_doubts(reading, is_byte_level=True)] == [
        "many_pieces",
        "inside_characters",
        "not_after_the_word",
        "same_word",
    ]
    assert "inside_characters" not in {d.rule for d in find_doubts(reading, is_byte_level=False)}


def test_no_letters_give_no_doubts() -> None:
    doubts = find_doubts(by_bytes(["1 2"], ["1 + 2 = 3"]), is_byte_level=True)
    assert doubts[0] == Doubt("many_pieces", 0, 0, [])


def test_entries_that_repeat_another_are_counted() -> None:
    spelling = [b"the", b" the", b"The", b" cat", b"\xc3", b"...", "the\ue000".encode()]
    assert repeated_entries(spelling) == 3
