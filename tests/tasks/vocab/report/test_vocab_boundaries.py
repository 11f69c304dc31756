"""Right boundaries come from affixes and treebanks, and agreement is counted against them."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from model.errors import CorpusError, RequestError
from tasks.vocab.report.affixes import MIN_STEM_LETTERS, Affixes, affix_gold, read_affixes
from tasks.vocab.report.boundaries import Gold, agreement
from tasks.vocab.report.measures import Sample, read
from tasks.vocab.report.treebank import conllu_gold
from tests.folders import shared_data

AFFIXES = Affixes(prefixes=("under", "un"), suffixes=("ness", "ing", "s"))
CONLLU = """\
# text = He didn't run: unhappy dogs (barked).
1\tHe\t_\t_\t_\t_\t_\t_\t_\t_
2-3\tdidn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdid\t_\t_\t_\t_\t_\t_\t_\t_
3\tn't\t_\t_\t_\t_\t_\t_\t_\t_
4\trun\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
5\t:\t_\t_\t_\t_\t_\t_\t_\t_
5.1\tvery\t_\t_\t_\t_\t_\t_\t_\t_
6\tunhappy\t_\t_\t_\t_\t_\t_\t_\tMSeg=un-happy
7\tdogs\t_\t_\t_\t_\t_\t_\t_\tMSeg=hound-s
8\t(\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
9\tbarked\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No|MSeg=bark-ed
10\t)\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
11\t.\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No

1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\t_\t_\t_\t_\t_\t_\t_\t_
2\tle\t_\t_\t_\t_\t_\t_\t_\t_
3\tbut\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
"""


def marked(gold: Gold) -> list[str]:
    """The judged words with a bar at each right boundary."""
    shown = []
    for begin, end in zip(gold.words.begins, gold.words.ends, strict=True):
        first, last = np.searchsorted(gold.positions, [begin, end])
        cuts = gold.positions[first:last].tolist()
        edges = [int(begin), *cuts, int(end)]
        shown.append("|".join(gold.sample.joined[one:other] for one, other in pairwise(edges)))
    return shown


def cutter(pattern: str, sample: Sample) -> Tokenizer:
    """A tokenizer that cuts wherever the pattern's matches begin and end."""
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    pieces = {piece for text in sample.texts for piece, _ in split.pre_tokenize_str(text)}
    model = models.WordLevel({piece: i for i, piece in enumerate(sorted(pieces))}, unk_token="?")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = split
    return tokenizer


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("unkindness", [2, 6]),
        ("understand", [5]),  # the longest prefix, not un
        ("sings", [4]),
        ("king", []),  # one letter would be left
        ("bring", []),
        ("UNHAPPY", [2]),
        ("undress", [2, 6]),
        ("unable", [2]),
        ("dog", []),
        ("İsings", []),
    ],
)
def test_affixes_leave_a_stem(word: str, expected: list[int]) -> None:
    assert AFFIXES.cuts(word) == expected


@given(st.text(alphabet="unders ingİßÅ", max_size=14))
def test_what_is_cut_off_are_affixes_around_a_stem(word: str) -> None:
    edges = [0, *AFFIXES.cuts(word), len(word)]
    parts = [word[begin:end].lower() for begin, end in pairwise(edges)]
    stems = [part for part in parts if part not in AFFIXES.prefixes + AFFIXES.suffixes]
    if len(parts) > 1:
        assert all(parts)
        assert len(parts) - len(stems) in (len(parts) - 1, len(parts))
        assert max(map(len, parts)) >= MIN_STEM_LETTERS


def test_a_list_of_affixes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "affixes.txt"
    path.write_text("# English\nun-\nUnder-   # long\n\n-ness\n-s\n", "utf-8")
    assert read_affixes(path) == Affixes(prefixes=("under", "un"), suffixes=("ness", "s"))


@pytest.mark.parametrize("line", ["ness", "-ness-", "-", "--"])
def test_a_line_that_is_no_affix_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "affixes.txt"
    path.write_text(f"un-\n{line}\n", "utf-8")
    with pytest.raises(CorpusError, match=r"line 2.* is no affix"):
        read_affixes(path)


def test_an_empty_list_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "affixes.txt"
    path.write_text("# nothing yet\n", "utf-8")
    with pytest.raises(CorpusError, match="lists no affix"):
        read_affixes(path)
    with pytest.raises(RequestError, match=r"vocab\.affixes: .*cannot be read"):
        read_affixes(tmp_path / "absent.txt")
    path.write_bytes(b"\xff\xfeu\x00n\x00-\x00")
    with pytest.raises(CorpusError, match="not UTF-8"):
        read_affixes(path)


def test_only_runs_of_letters_with_an_affix_are_judged() -> None:
    gold = affix_gold(AFFIXES, Sample(["the “unkindness”, of ravens", "understanding dogs."]))
    assert marked(gold) == ["un|kind|ness", "raven|s", "under|stand|ing", "dog|s"]


def test_a_treebank_says_where_words_part(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU, "utf-8")
    gold = conllu_gold(path, 10**6)
    assert gold.sample.texts == ["He didn't run: unhappy dogs (barked).", "du but"]
    shown = ["He", "did|n't", "run|:", "un|happy", "dogs", "(|bark|ed|)|.", "but"]
    assert marked(gold) == shown  # `du` is not spelled by its words, `dogs` not by its morphs


def test_a_treebank_may_be_compressed_and_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress(CONLLU.encode()))
    assert len(conllu_gold(path, 40).sample.texts) == 1


def test_what_is_no_treebank_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text("# only remarks\n\n", "utf-8")
    with pytest.raises(CorpusError, match="no CoNLL-U sentence"):
        conllu_gold(path, 10**6)
    for line in ("1\tHe", "one\tHe" + "\t_" * 8, "1-x\tHe" + "\t_" * 8):
        path.write_text(f"{line}\n", "utf-8")
        with pytest.raises(CorpusError, match="line 1: not a number and 9 more columns"):
            conllu_gold(path, 10**6)
    path.write_bytes(gzip.compress(b"1\tHe" + b"\t_" * 8)[:-12])
    with pytest.raises(RequestError, match=r"vocab\.conllu: .*cannot be read"):
        conllu_gold(path, 10**6)


def test_agreement_counts_boundaries_inside_the_judged_words() -> None:
    sample = Sample(["kindness dogs cat"])
    gold = affix_gold(AFFIXES, sample)  # kind|ness, dog|s
    perfect = read(cutter(r"ness|s\b| ", sample), sample)
    assert agreement(perfect, gold) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    half = read(cutter(r"ki|ness| |c|a|t", sample), sample)  # ki|nd|ness, dogs, c|a|t not judged
    assert agreement(half, gold) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    whole = read(cutter(r" ", sample), sample)
    assert agreement(whole, gold) == {"recall": 0.0, "f1": 0.0}


def test_nothing_to_agree_on_gives_no_number() -> None:
    sample = Sample(["cat"])
    assert agreement(read(cutter(" ", sample), sample), affix_gold(AFFIXES, sample)) == {}


def test_a_real_treebank_is_read_whole() -> None:
    path = shared_data("ud_english_ewt/en_ewt-ud-dev.conllu.gz")
    gold = conllu_gold(path, 2**30)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [line[9:].strip() for line in lines if line.startswith("# text = ")]
    assert len(gold.sample.texts) == 2001
    if texts:  # some copies of the treebank leave the comments out
        assert gold.sample.texts == texts
    assert "did|n't" in marked(gold)
    by_rule = read(cutter(r"\w+|[^\w\s]", gold.sample), gold.sample)
    assert agreement(by_rule, gold)["recall"] > 0.85
    assert np.all(np.diff(gold.positions) > 0)
