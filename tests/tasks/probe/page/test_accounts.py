"""Every measure that is shown has an account, and accounts name their sources."""

import re
from functools import cache

import pytest

from model.heads import HEAD_MEASURES
from model.layer_likeness import MOST_TOKENS
from tasks.probe.config import ProbeConfig
from tasks.probe.findings import probe_encoder
from tasks.probe.layers import RANK_TOKENS_PER_DIMENSION
from tasks.probe.page.accounts import ACCOUNTS, account_of, account_table
from tasks.probe.page.figures import HEAD_FIGURES, LAYER_FIGURES
from tasks.report.page import Section, render_report
from tests.tasks.probe.encoders import VOCABULARY, Silent, corpus, plain_encoder


@cache
def measured() -> set[str]:
    """The names of all measures that the stage makes without labels of people."""
    config = ProbeConfig(
        num_documents=20, max_tokens_per_document=20, num_examples=60, window_tokens=8, device="cpu"
    )
    findings = probe_encoder(plain_encoder(), corpus(80, 60), VOCABULARY, config, Silent())
    return {row.measure for row in [*findings.layers, *findings.heads]}


def test_every_measure_of_the_tables_has_an_account() -> None:
    named = measured() | set(LAYER_FIGURES) | set(HEAD_FIGURES) | set(HEAD_MEASURES)
    assert {"cka_with_layer_2", "random_share_previous", "control_bigram_shift_accuracy"} <= named
    assert not [measure for measure in sorted(named) if account_of(measure) not in ACCOUNTS]


@pytest.mark.parametrize(
    ("measure", "key"),
    [
        ("anisotropy_without_top_dimensions", "anisotropy"),
        ("random_self_similarity_adjusted", "self_similarity"),
        ("word2vec_intra_sentence_similarity", "intra_sentence_similarity"),
        ("cka_previous_layer", "cka"),
        ("control_word2vec_same_document_accuracy", "self_labelled"),
        ("upos_accuracy", "upos"),
        ("upos_selectivity", "selectivity"),
        ("deprel_compression", "codelength"),
        ("chain_tree_spearman", "structural_probe"),
        ("offset_head_found_accuracy", "edge_probe"),
        ("control_feature_PronType_accuracy", "feats"),
        ("relation_nsubj_to_head", "heads_against_relations"),
        ("masked_accuracy", "masked_loss"),
        ("share_self", "share"),
        ("of_another_kind", None),
    ],
)
def test_names_find_their_account(measure: str, key: str | None) -> None:
    assert account_of(measure) == key


def test_accounts_are_short_and_name_a_year() -> None:
    for account in ACCOUNTS.values():
        assert re.search(r"\b(19|20)\d\d\b", account.source), account
        assert 1 <= len(re.findall(r"[.:](?= |$)", account.meaning)) <= 6
        assert 40 < len(account.meaning) < 420, account
    titles = [account.title for account in ACCOUNTS.values()]
    assert len(set(titles)) == len(titles)


def test_table_holds_what_a_page_needs_and_the_guards() -> None:
    table = account_table(name for name in ["random_entropy", "control_bigram_shift_accuracy"])
    assert [row[0] for row in table.rows] == [
        "Head entropy",
        "Self-labelled tasks",
        "Control tasks and selectivity",
        "Random weights, Word2Vec, intervals",
    ]
    assert len(account_table(ACCOUNTS).rows) == len(ACCOUNTS)
    assert "Hewitt and Liang 2019" in render_report("t", [Section(title="s", blocks=[table])])


def test_accounts_name_the_numbers_of_tokens_that_measures_use() -> None:
    assert f"at most {MOST_TOKENS} drawn" in ACCOUNTS["cka"].meaning
    assert f"at most {RANK_TOKENS_PER_DIMENSION} drawn" in ACCOUNTS["effective_rank"].meaning
