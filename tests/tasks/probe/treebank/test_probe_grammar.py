"""Probes on a small treebank of known truth: word types tell the class, order tells the tree."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from model.bpe.tokenizer import tokenizer_json
from model.errors import CorpusError
from tasks.probe.config import ProbeConfig
from tasks.probe.findings import random_like
from tasks.probe.page.accounts import account_of
from tasks.probe.page.grammar_page import chosen, grammar_section, grammar_sentences
from tasks.probe.ratios import Ratio, mean_of, ratio_interval, ratio_rows
from tasks.probe.static_vectors import train_static_encoder
from tasks.probe.table import select
from tasks.probe.treebank.grammar import Grammar, probe_grammar
from tasks.probe.treebank.reading import Treebank, read_treebank
from tasks.probe.treebank.tree_probes import CHAIN, HEAD_FOUND, OFFSET, UUAS
from tasks.probe.treebank.word_samples import classes_of, classes_W, draw_words, tasks_of, types_W
from tasks.report.page import render_report
from tests.tasks.probe.encoders import corpus, plain_encoder
from tests.tasks.probe.treebank.treebanks import row

LETTERS = "abcdefghijklmnop"
SEEDS = [0, 1, 2]


def text_of_treebank(num_documents: int = 60) -> str:
    """Documents of three sentences; the first letters are nouns, and every word hangs on the one
    before."""
    generator = np.random.default_rng(0)
    lines = []
    for document in range(num_documents):
        lines.append(f"# newdoc id = d{document}\n")
        for _ in range(3):
            letters = generator.choice(list(LETTERS), 7)
            for at, letter in enumerate(letters, 1):
                is_noun = letter < "i"
                lines.append(
                    row(
                        at,
                        str(letter),
                        upos="NOUN" if is_noun else "VERB",
                        feats=f"Number={'Sing' if letter < 'e' else 'Plur'}" if is_noun else "_",
                        head=at - 1,
                        deprel="root" if at == 1 else "obj:x" if is_noun else "conj",
                    )
                    + "\n"
                )
            lines.append("\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Treebank:
    path = tmp_path_factory.mktemp("treebank") / "a.conllu"
    path.write_text(text_of_treebank(), "utf-8")
    return read_treebank([str(path)], seed=0)


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(tokenizer_json([], pattern="gpt2", pad_to_multiple=1))


@pytest.fixture(scope="module")
def grammar(treebank: Treebank) -> Grammar:
    torch.set_num_threads(1)
    encoder = plain_encoder()
    static = train_static_encoder(corpus()["train"], encoder.config, seed=0)
    heard: list[None] = []
    found = probe_grammar(
        encoder,
        static,
        lambda seed: random_like(encoder, seed),
        treebank,
        tokenizer(),
        ProbeConfig(num_words=500),
        SEEDS,
        on_system=lambda: heard.append(None),
    )
    assert len(heard) == 3 * len(SEEDS)
    return found


def test_words_come_from_many_documents_of_their_own_split(treebank: Treebank) -> None:
    samples = draw_words(treebank, tokenizer(), num_words=500, max_tokens=64, seed=1)
    documents = {split: set(one.document_A.tolist()) for split, one in samples.items()}
    assert len(documents["train"]) >= 30
    assert not documents["train"] & documents["test"]
    for sample in samples.values():
        assert len(sample.head_W) == sample.aligned.num_words == int(sample.length_A.sum())
    again = draw_words(treebank, tokenizer(), num_words=500, max_tokens=64, seed=1)
    assert again["test"].forms == samples["test"].forms
    other = draw_words(treebank, tokenizer(), num_words=500, max_tokens=64, seed=2)
    assert other["train"].forms != samples["train"].forms


def test_tasks_are_what_the_treebank_says(treebank: Treebank) -> None:
    samples = draw_words(treebank, tokenizer(), num_words=500, max_tokens=64, seed=0)
    assert tasks_of(samples) == ["upos", "deprel", "feature_Number"]
    assert classes_of(samples["train"], "deprel") == ["conj", "obj", "root"]
    numbers = classes_W(samples["train"], "feature_Number", ["Plur", "Sing"])
    assert set(numbers.tolist()) == {-1, 0, 1}
    types, num_types = types_W(samples)
    assert num_types == len(LETTERS)
    pairs = {*zip(samples["test"].forms, types["test"].tolist(), strict=True)}
    assert len(pairs) == num_types


def test_every_probe_has_rows_of_every_layer_system_and_seed(grammar: Grammar) -> None:
    assert grammar.tasks == ["upos", "deprel", "feature_Number"]
    measures = [*(f"{task}_accuracy" for task in grammar.tasks), HEAD_FOUND, UUAS]
    for measure in measures:
        for seed in (*SEEDS, None):
            for split in ("validation", "test"):
                for prefix, layers in (("", 4), ("random_", 4), ("word2vec_", 1)):
                    found = select(grammar.layers, prefix + measure, split=split, seed=seed)
                    assert [one.layer for one in found] == list(range(layers))
    for name in ("upos_compression", "upos_gain"):
        assert len(select(grammar.layers, name, split="train")) == 4
    assert len(select(grammar.layers, "upos_selectivity", split="test")) == 4
    assert len(select(grammar.layers, "control_upos_accuracy", split="test")) == 4


def test_every_measure_has_an_account(grammar: Grammar) -> None:
    measures = {row.measure for row in (*grammar.layers, *grammar.heads)}
    assert not [measure for measure in sorted(measures) if account_of(measure) is None]


def test_what_types_tell_is_read_from_the_embeddings(grammar: Grammar) -> None:
    first = select(grammar.layers, "upos_accuracy", split="test")[0]
    assert first.value > 0.99
    assert select(grammar.layers, "upos_compression")[0].value > 2
    # Sixteen types are learned by heart as well, so the task shows nothing beyond that.
    assert abs(select(grammar.layers, "upos_selectivity")[0].value) < 0.05


def test_the_order_of_words_is_its_own_baseline(grammar: Grammar) -> None:
    (chain,) = select(grammar.layers, CHAIN + UUAS, split="test")
    assert chain.value == 1
    (offset,) = select(grammar.layers, OFFSET + HEAD_FOUND, split="test")
    assert offset.value == pytest.approx(6 / 7)  # all but roots


def test_each_relation_has_a_head_and_an_offset(grammar: Grammar) -> None:
    assert {one.relation for one in grammar.relations} == {"obj", "conj"}
    for one in grammar.relations:
        assert one.offset == -1
        assert float(one.offset_share.value) == 1
        assert 0 <= float(one.share.low) <= float(one.share.value) <= float(one.share.high) <= 1
        assert not one.is_beyond_offset
        found = select(grammar.heads, f"relation_{one.relation}_to_head")
        assert [(each.layer, each.head) for each in found] == [
            (layer, head) for layer in (1, 2, 3) for head in (0, 1)
        ]


def test_the_page_says_where_things_are_read(grammar: Grammar, tmp_path: Path) -> None:
    page = render_report("Grammar", grammar_section(grammar))
    for title in ("Part of speech", "Number", "Which word is the head?", "obj"):
        assert title in page
    best = chosen(grammar.layers, "upos_accuracy")
    assert best.split == "test"
    assert grammar_sentences(grammar)[0].startswith("Part of speech is best read from")


def test_a_ratio_is_of_sums_and_one_document_has_no_spread() -> None:
    above, below = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [6.0]])
    one = Ratio(above, below, torch.tensor([0, 0]))
    assert one.value_K.tolist() == [0.5]
    alone = ratio_interval([one])
    assert float(alone.value) == 0.5
    assert torch.isnan(alone.low).all()
    two = ratio_interval([Ratio(above, below, torch.tensor([0, 1]))])
    assert float(two.low) == pytest.approx(0.5) == pytest.approx(float(two.high))


def test_rows_stay_within_their_bounds() -> None:
    right_EK = torch.tensor([[True], [True], [False], [True]])
    rows = ratio_rows("m", {0: mean_of(right_EK, torch.arange(4))}, split="test")
    assert [one.seed for one in rows] == [0, None]
    assert all(0 <= one.low <= one.value <= one.high <= 1 for one in rows)


def test_a_treebank_that_no_row_holds_is_the_users_to_know(treebank: Treebank) -> None:
    with pytest.raises(CorpusError, match=r"no sentence of train has heads and at most 3 tokens"):
        draw_words(treebank, tokenizer(), num_words=500, max_tokens=5, seed=0)
