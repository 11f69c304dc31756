"""All baselines together: better than chance, the same in every process, at home in any script."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from model.retrieval import matching_ranks, reciprocal_ranks
from tasks.evaluate.baselines import baseline_systems
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.halves import cut_in_halves
from tasks.evaluate.vectors import System, cosine_blocks, ranked_pairs_of, vectors_of
from tests.corpora import topic_documents
from tests.tasks.evaluate.listening import Listening

NAMES = ["tfidf", "bm25", "lsa", "word2vec", "sif", "doc2vec"]
TEXTS = [str(document["text"]) for document in topic_documents(150)]
QUICK = EvaluateConfig(
    word2vec_dim=16, word2vec_epochs=5, lsa_dim=12, doc2vec_dim=16, doc2vec_epochs=10
)

PRINT_DIGESTS = """
import hashlib
import numpy as np
from tests.tasks.evaluate.test_baselines import QUICK, TEXTS, fitted
for system in fitted(TEXTS[:60]):
    rows = system.vectors(TEXTS[60:70])
    rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
    print(system.name, hashlib.sha256(rows.tobytes()).hexdigest())
"""


def fitted(texts: list[str], config: EvaluateConfig = QUICK) -> list[System]:
    return list(baseline_systems(texts, config, Listening()))


@pytest.fixture(scope="module")
def systems() -> list[System]:
    return fitted(TEXTS)


def mean_reciprocal_rank(system: System, queries: list[str], answers: list[str]) -> float:
    (pair,) = ranked_pairs_of(system, queries, answers)
    ranks = matching_ranks(cosine_blocks(pair.queries, pair.candidates))
    return float(reciprocal_ranks(ranks).mean())


def test_they_come_in_order_and_only_when_asked_for() -> None:
    report = Listening()
    coming = baseline_systems(TEXTS, QUICK, report)
    assert report.messages == []
    assert next(coming).name == "tfidf"
    assert report.messages == ["fitting TF-IDF on 150 training documents"]
    assert [system.name for system in coming] == NAMES[1:]
    assert len(report.messages) == 5  # both means of word vectors are of one model


@pytest.mark.parametrize("name", NAMES)
def test_each_finds_second_halves_better_than_chance(systems: list[System], name: str) -> None:
    fresh = [str(document["text"]) for document in topic_documents(60, seed=1)]
    halves = [cut for text in fresh if (cut := cut_in_halves(text, min_words=12))]
    first, second = ([half[side] for half in halves] for side in (0, 1))
    chance = float(np.mean(1 / np.arange(1, len(halves) + 1)))
    (system,) = (system for system in systems if system.name == name)
    assert mean_reciprocal_rank(system, first, second) > 2 * chance


def test_alone_every_text_has_a_row_of_unit_length_or_none(systems: list[System]) -> None:
    for system in systems:
        (named,) = vectors_of(system, [TEXTS[3], "qqq"])
        rows = named.vectors
        rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0], atol=1e-6)


def test_they_do_not_depend_on_the_process() -> None:
    # Both at once, since most of their time is the import of what they run.
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PRINT_DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    first, second = (process.communicate()[0].splitlines() for process in running)
    assert [line.split()[0] for line in first] == NAMES
    assert first == second


# Words of two letters, each beside one with the same letters in the other order, so that single
# letters tell nothing; then letters around them in training, and others around them in the halves.
SCRIPTS = {
    "chinese": ("人工 工人 故事 事故 上海 海上", "春夏秋冬风雨雷电", "金木水火土石山河"),
    "japanese": ("会社 社会 かさ さか モノ ノモ", "あいうえおアイウエ", "東西南北春夏秋冬"),
    "thai": ("มด ดม นก กน ลม มล", "จฉชซฌญฎฏ", "ทธบปผฝพฟ"),
}


def clause(rng: random.Random, word: str, letters: str) -> str:
    """The word three times, without spaces among letters that say nothing."""
    return word.join("".join(rng.choices(letters, k=3)) for _ in range(4))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_half_finds_its_twin_by_a_word_of_two_letters(script: str) -> None:
    rng = random.Random(0)
    words, around, elsewhere = SCRIPTS[script]
    train = [clause(rng, word, around) for word in words.split() for _ in range(20)]
    first, second = ([clause(rng, word, elsewhere) for word in words.split()] for _ in range(2))
    patient = QUICK.model_copy(update={"doc2vec_epochs": 200})  # three words a text are few
    systems = fitted(train, patient)
    found = {system.name: mean_reciprocal_rank(system, first, second) for system in systems}
    assert found == dict.fromkeys(NAMES, 1.0)
