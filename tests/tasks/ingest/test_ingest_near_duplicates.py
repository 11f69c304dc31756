"""Near duplicates are found, all of them and nothing else, in any order and in bounded memory."""

import gzip
import hashlib
import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from rensa import RMinHash

from tasks.ingest.duplicates import near_groups
from tasks.ingest.duplicates import similar_pairs as search
from tasks.ingest.duplicates.near_groups import group_near
from tasks.ingest.duplicates.shingles import shingle
from tasks.ingest.duplicates.signature_files import SignatureFiles
from tasks.ingest.duplicates.signatures import NUM_PERMUTATIONS, Signatures, band_shape, sign
from tasks.ingest.duplicates.similar_pairs import similar_pairs
from tests.folders import shared_data

LETTERS = r"[\p{L}\p{N}\p{Mn}\p{Mc}]+"
SOLO = r"(?!\p{M})[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]"
WORDS = [f"word{number}" for number in range(5000)]
WINDOW = 65_535
GOLDEN = "The quick brown fox jumps over the lazy dog. 東京タワー, déjà vu!"
EXPECTED_GOLDEN = (
    "[15308367467608995353, 8698578188626756832, 2812382467153034590] "
    "[2145, 56523, 10264, 22384, 36434, 57436]"
)
PRINT_GOLDEN = f"""
from tasks.ingest.duplicates.signatures import sign
signatures = sign([{GOLDEN!r}], 0.8)
print(signatures.bands[0, :3].tolist(), signatures.sketch[0, :6].tolist())
"""

Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]
T = TypeVar("T")


def true_shingles(text: str) -> set[tuple[str, ...]]:
    words: list[str] = []
    for run in regex.findall(LETTERS, text.casefold()):
        words += [run] if run.isascii() else regex.findall(rf"{SOLO}\p{{M}}*|(?:(?!{SOLO}).)+", run)
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


def jaccard(first: str, second: str) -> float:
    a, b = true_shingles(first), true_shingles(second)
    return len(a & b) / len(a | b)


def shingles_of(texts: list[str]) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in texts]
    for rows in shingle(texts):
        assert len(rows.offsets) <= 256
        assert rows.offsets[0] == 0
        assert rows.offsets[-1] == len(rows.hashes) < 2**16
        for row, (start, stop) in enumerate(zip(rows.offsets, rows.offsets[1:], strict=False)):
            found[rows.first_text + row] |= set(rows.hashes[int(start) : int(stop)].tolist())
    return found


def write(folder: Path, signatures: Signatures) -> SignatureFiles:
    with SignatureFiles(folder, signatures.bands.shape[1]) as files:
        half = len(signatures.sketch) // 2
        for part in (slice(0, half), slice(half, None)):
            files.append(
                Signatures(
                    signatures.bands[part], signatures.sketch[part], signatures.has_words[part]
                )
            )
    return files


def content_rank(texts: list[str]) -> Ints:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return np.argsort(np.argsort(np.array(digests, "S32"))).astype(np.int64)


def pairs_of(folder: Path, texts: list[str], threshold: float) -> set[Pair]:
    signatures = sign(texts, threshold)
    files = write(folder, signatures)
    pairs = similar_pairs(files, signatures.has_words, content_rank(texts), threshold)
    return {(min(pair), max(pair)) for pair in pairs.tolist()}


def random_text(rng: np.random.Generator, num_words: int) -> str:
    return " ".join(rng.choice(WORDS, num_words).tolist())


def mutated(rng: np.random.Generator, text: str, num_words: int) -> str:
    words = text.split()
    for place in rng.choice(len(words), num_words, replace=False).tolist():
        words[place] = f"new{rng.integers(10**9)}"
    return " ".join(words)


# --- shingles ---------------------------------------------------------------------------------


@given(st.lists(st.text("aAbZ9é\u0301ΣςЖ १中の한ไก็ \t\n.-_’🙂", max_size=40), max_size=8))
@settings(max_examples=300)
def test_shingles_are_runs_of_five_words(texts: list[str]) -> None:
    truth = [true_shingles(text) for text in texts]
    found = shingles_of(texts)
    assert [len(hashes) for hashes in found] == [len(runs) for runs in truth]
    for first in range(len(texts)):
        for second in range(first):
            shared = truth[first] & truth[second]
            assert len(found[first] & found[second]) == len(shared)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The cat; sat on -- the mat!", "the CAT sat (on) the mat"),
        ("ΟΔΟΣ και ΕΛΛΑΔΑ, η αρχή του", "οδος ΚΑΙ ελλαδα: Η ΑΡΧΉ του"),
        ("東京、大阪 名古屋", "東京大阪名古屋"),
    ],
)
def test_case_and_punctuation_do_not_count(one: str, other: str) -> None:
    first, second = shingles_of([one, other])
    assert first == second != set()


@pytest.mark.parametrize(
    "text",
    ["", " \n", "-- !? …", "🙂 🙂 🙂 🙂 🙂", "\u3164 " * 6, "#️⃣"[1:], "C++", "one two three four"],
)
def test_fewer_than_five_words_have_no_shingles(text: str) -> None:
    more = "here are five words, enough"
    assert shingles_of([text, more])[0] == set()
    assert sign([text, more], 0.8).has_words.tolist() == [False, True]


@pytest.mark.parametrize("num_characters", [WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW])
@pytest.mark.parametrize("kind", ["words", "letters", "solos"])
def test_windows_lose_no_shingle(num_characters: int, kind: str) -> None:
    rng = np.random.default_rng(num_characters)
    text = {
        "words": random_text(rng, num_characters // 5),
        "letters": "".join(rng.choice(list("abcdefghij \n"), num_characters).tolist()),
        "solos": "".join(map(chr, rng.integers(0x4E00, 0x9FFF, num_characters).tolist())),
    }[kind][:num_characters]
    found = shingles_of(["before it", text, "after it"])
    assert len(found[1]) == len(true_shingles(text)) > 5000
    assert found == [*shingles_of(["before it"]), found[1], *shingles_of(["after it"])]
    tail = text[-2000:]
    end = shingles_of([tail[tail.find(" ") + 1 :]])[0]
    assert len(end) > 100
    assert end <= found[1]


def test_few_words_over_many_windows_are_one_shingle() -> None:
    text = f"one {' ' * WINDOW} two {'.' * WINDOW} three"
    assert shingles_of([text]) == shingles_of(["one two three"])


def test_a_word_longer_than_a_window_is_cut_but_counts() -> None:
    (found,) = shingles_of(["x" * (5 * WINDOW)])
    assert len(found) == 1
    assert found != shingles_of(["x" * (5 * WINDOW - 1)])[0]


# --- signatures -------------------------------------------------------------------------------


def test_signatures_are_the_same_in_every_process_on_every_kind_of_processor() -> None:
    for seed, kernel in (("1", "scalar"), ("2", "avx2")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "RENSA_FORCE_KERNEL": kernel}
        command = [sys.executable, "-c", PRINT_GOLDEN]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == EXPECTED_GOLDEN


def test_signing_starts_no_threads() -> None:
    code = (
        "import psutil\n"
        "from tasks.ingest.duplicates.signatures import sign\n"
        "sign(['warm up'], 0.8)\n"
        "before = psutil.Process().num_threads()\n"
        "sign(['a b c ' * 200_000, '中文' * 200_000, *['some words'] * 5000], 0.8)\n"
        "print(psutil.Process().num_threads() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"


def test_a_signature_depends_on_its_text_alone() -> None:
    rng = np.random.default_rng(1)
    lengths = [0, 1, 3, 5, 40, 2000, 30_000, 60_000, 2, *[7] * 300]
    texts = [random_text(rng, length) for length in lengths]
    together = sign(texts, 0.8)
    for index, text in enumerate(texts):
        alone = sign([text], 0.8)
        assert (alone.bands[0] == together.bands[index]).all()
        assert (alone.sketch[0] == together.sketch[index]).all()
        assert alone.has_words[0] == together.has_words[index] == (lengths[index] >= 5)


def test_windows_of_a_text_are_signed_as_a_whole() -> None:
    text = random_text(np.random.default_rng(2), 50_000)
    hashes = np.array(sorted(shingles_of([text])[0]), np.uint64)
    offsets = np.array([0, len(hashes)], np.uint64)
    whole = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, NUM_PERMUTATIONS, 1)
    minima = np.array(whole.to_rows(), np.uint32) * np.uint32(0x9E3779B1)
    assert (sign([text], 0.8).sketch == minima >> 16).all()


def test_no_texts_have_no_signatures() -> None:
    signatures = sign([], 0.8)
    assert signatures.bands.shape == (0, 13)
    assert signatures.sketch.shape == (0, NUM_PERMUTATIONS)


@given(st.floats(0.5, 0.99))
def test_bands_find_what_is_at_the_threshold_and_little_far_below(threshold: float) -> None:
    num_bands, num_rows = band_shape(threshold)
    assert num_bands * num_rows <= NUM_PERMUTATIONS
    assert 1 - (1 - threshold**num_rows) ** num_bands >= 0.95
    assert 1 - (1 - (threshold / 2) ** num_rows) ** num_bands < 0.31


def test_sketches_estimate_similarity() -> None:
    rng = np.random.default_rng(3)
    texts = [random_text(rng, 200) for _ in range(200)]
    others = [mutated(rng, text, int(rng.integers(0, 30))) for text in texts]
    is_equal = sign(texts, 0.8).sketch == sign(others, 0.8).sketch
    errors = is_equal.mean(axis=1) - [jaccard(*pair) for pair in zip(texts, others, strict=True)]
    assert abs(errors.mean()) < 0.01
    assert np.abs(errors).max() < 0.15


# --- files ------------------------------------------------------------------------------------


def test_files_give_back_what_was_appended(tmp_path: Path) -> None:
    signatures = sign([f"{number} and some words" for number in range(50)], 0.7)
    files = SignatureFiles(tmp_path / "new" / "folder", 17)
    assert files.sketches(np.array([], np.int64)).shape == (0, NUM_PERMUTATIONS)
    for _ in range(2):
        files.append(signatures)  # also before they are closed
        assert (files.band(3)[-50:] == signatures.bands[:, 3]).all()
        assert (files.sketches(np.array([49, 0])) == signatures.sketch[[49, 0]]).all()
    files.close()
    assert files.num_documents == 100
    assert (files.band(16) == np.tile(signatures.bands[:, 16], 2)).all()
    assert (files.sketches(np.arange(50, 100)) == signatures.sketch).all()


def test_files_refuse_other_bands(tmp_path: Path) -> None:
    with SignatureFiles(tmp_path, 5) as files, pytest.raises(ValueError, match="13 bands"):
        files.append(sign(["some words"], 0.8))


# --- pairs ------------------------------------------------------------------------------------


def test_similar_texts_are_found_and_others_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    texts: list[str] = []
    similar: set[Pair] = set()
    dissimilar: set[Pair] = set()
    while min(len(similar), len(dissimilar)) < 500:
        text = random_text(rng, int(rng.integers(60, 400)))
        share = 0.01 if len(similar) < 500 else 0.15
        other = mutated(rng, text, math.ceil(share * len(text.split())))
        similarity = jaccard(text, other)
        if similarity >= 0.9:
            similar.add((len(texts), len(texts) + 1))
        elif similarity <= 0.5:
            dissimilar.add((len(texts), len(texts) + 1))
        texts += [text, other]
    found = pairs_of(tmp_path, texts, 0.8)
    assert len(found & similar) >= 0.99 * len(similar)
    assert len(found & dissimilar) <= 0.01 * len(dissimilar)
    assert all(first % 2 == 0 and second == first + 1 for first, second in found)


@pytest.mark.parametrize("first_code", [0x4E00, 0x3041, 0x0E01])
def test_scripts_without_spaces_have_near_duplicates(tmp_path: Path, first_code: int) -> None:
    rng = np.random.default_rng(5)
    characters = rng.integers(first_code, first_code + 46, (3, 600))
    characters[1] = characters[0]
    characters[1, 300] = first_code + 1 if characters[0, 300] == first_code else first_code
    texts = ["".join(map(chr, row)) for row in characters.tolist()]
    assert pairs_of(tmp_path, texts, 0.8) == {(0, 1)}


def clusters(rng: np.random.Generator, sizes: list[int], num_words: int = 60) -> list[str]:
    texts = []
    for size in sizes:
        text = random_text(rng, num_words)
        texts += [text, *(mutated(rng, text, 1) for _ in range(size - 1))]
    return texts


def outcome(folder: Path, texts: list[str]) -> tuple[set[str], set[frozenset[str]], set[Pair]]:
    signatures = sign(texts, 0.8)
    rank = content_rank(texts)
    pairs = similar_pairs(write(folder, signatures), signatures.has_words, rank, 0.8)
    kept_of, group = group_near(pairs, rank, len(texts))
    groups: dict[int, set[str]] = {}
    for number, text in zip(group.tolist(), texts, strict=True):
        groups.setdefault(number, set()).add(text)
    kept = {text for text, of in zip(texts, kept_of.tolist(), strict=True) if of < 0}
    named = {(int(rank[a]), int(rank[b])) for a, b in enumerate(kept_of.tolist()) if b >= 0}
    return kept, set(map(frozenset, groups.values())), named


def test_the_order_of_documents_does_not_matter(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    texts = clusters(rng, [1, 2, 5, 20, 60, 150, 1, 1, 3], num_words=200)
    expected = outcome(tmp_path, texts)
    assert len(expected[0]) < 0.3 * len(texts)
    for _ in range(3):
        assert outcome(tmp_path, rng.permutation(texts).tolist()) == expected


def test_of_many_near_copies_one_is_kept(tmp_path: Path) -> None:
    texts = clusters(np.random.default_rng(7), [100, 300, 2], num_words=400)
    kept, groups, _ = outcome(tmp_path, texts)
    assert len(kept) == 3
    assert sorted(map(len, groups)) == [2, 100, 300]


def made_signatures(bands: list[list[int]], sketches: list[int], share: float) -> Signatures:
    """Sketches of one number throughout, but for the share of places that all have in common."""
    sketch = np.repeat(np.array(sketches, np.uint16)[:, np.newaxis], NUM_PERMUTATIONS, axis=1)
    sketch[:, : int(share * NUM_PERMUTATIONS)] = 0
    keys = np.array(bands, np.uint64).reshape(len(bands), -1)
    return Signatures(keys, sketch, np.ones(len(bands), np.bool_))


@st.composite
def small_searches(draw: st.DrawFn) -> tuple[Signatures, list[bool], list[int]]:
    num_documents = draw(st.integers(1, 30))

    def one_each(values: st.SearchStrategy[T]) -> list[T]:
        return draw(st.lists(values, min_size=num_documents, max_size=num_documents))

    bands = one_each(st.lists(st.integers(0, 3), min_size=2, max_size=2))
    sketches = one_each(st.integers(0, 2))
    share = draw(st.sampled_from([0.0, 0.5, 0.9]))
    is_candidate = one_each(st.booleans())
    rank = draw(st.permutations(range(num_documents)))
    return made_signatures(bands, sketches, share), is_candidate, rank


@given(small_searches())
@settings(max_examples=200)
def test_in_small_buckets_all_pairs_are_compared(
    tmp_path_factory: pytest.TempPathFactory,
    search: tuple[Signatures, list[bool], list[int]],
) -> None:
    signatures, is_candidate, rank = search
    files = write(tmp_path_factory.mktemp("signatures"), signatures)
    pairs = similar_pairs(files, np.array(is_candidate), np.array(rank, np.int64), 0.8)
    num_documents = len(rank)
    expected = [
        (a, b)
        for b in sorted(range(num_documents), key=rank.__getitem__)
        for a in sorted(range(num_documents), key=rank.__getitem__)
        if rank[a] < rank[b] and is_candidate[a] and is_candidate[b]
        if (signatures.bands[a] == signatures.bands[b]).any()
        if (signatures.sketch[a] == signatures.sketch[b]).mean() >= 0.8
    ]
    assert pairs.dtype == np.int64
    assert list(map(tuple, pairs.tolist())) == expected


def test_kinds_that_share_a_big_bucket_are_told_apart(tmp_path: Path) -> None:
    kinds = np.random.default_rng(8).integers(1, 8, 2000).tolist()
    files = write(tmp_path, made_signatures([[7]] * 2000, kinds, 0.5))
    rank = np.random.default_rng(9).permutation(2000)
    pairs = similar_pairs(files, np.ones(2000, np.bool_), rank, 0.8)
    assert all(kinds[a] == kinds[b] for a, b in pairs.tolist())
    kept_of, group = group_near(pairs, rank, 2000)
    assert sorted(kinds[index] for index in np.flatnonzero(kept_of < 0)) == [1, 2, 3, 4, 5, 6, 7]
    assert len(set(group.tolist())) == 7


def test_past_the_leaders_neighbours_by_rank_are_compared(tmp_path: Path) -> None:
    kinds = sorted([*range(1, 101)] * 3)
    files = write(tmp_path, made_signatures([[7]] * 300, kinds, 0.5))
    pairs = similar_pairs(files, np.ones(300, np.bool_), np.arange(300), 0.8)
    assert {(a, a + 1) for a in range(299) if kinds[a] == kinds[a + 1]} <= set(
        map(tuple, pairs.tolist())
    )


def test_pairs_do_not_depend_on_how_many_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = clusters(np.random.default_rng(10), [40, 100, 10, 2])
    signatures, rank = sign(texts, 0.8), content_rank(texts)
    files = write(tmp_path, signatures)
    expected = np.array(similar_pairs(files, signatures.has_words, rank, 0.8))
    monkeypatch.setattr(search, "_PAIRS_IN_RUN", 50)
    monkeypatch.setattr(search, "_COMPARED_AT_ONCE", 20)
    monkeypatch.setattr(near_groups, "PAIRS_AT_ONCE", 30)
    pairs = similar_pairs(files, signatures.has_words, rank, 0.8)
    assert pairs.tolist() == expected.tolist()
    assert len(pairs) > 200
    again = group_near(pairs, rank, len(texts))
    monkeypatch.undo()
    assert np.array_equal(again, group_near(expected[::-1], rank, len(texts)))


def test_a_hundred_thousand_copies_end_in_seconds(tmp_path: Path) -> None:
    num_documents = 100_000
    bands = np.zeros((num_documents, 13), np.uint64)
    sketch = np.zeros((num_documents, NUM_PERMUTATIONS), np.uint16)
    sketch[:, :10] = np.random.default_rng(11).integers(0, 2**16, (num_documents, 10))
    files = write(tmp_path, Signatures(bands, sketch, np.ones(num_documents, np.bool_)))
    rank = np.random.default_rng(12).permutation(num_documents)
    start = time.process_time()
    pairs = similar_pairs(files, np.ones(num_documents, np.bool_), rank, 0.8)
    kept_of, group = group_near(pairs, rank, num_documents)
    assert time.process_time() - start < 20
    assert (kept_of < 0).sum() == 1
    assert len(set(group.tolist())) == 1


def test_memory_is_bounded_by_48_bytes_a_document(tmp_path: Path) -> None:
    num_documents = 200_000
    files = SignatureFiles(tmp_path, 6)
    rng = np.random.default_rng(13)
    for _ in range(20):
        number = rng.integers(0, num_documents // 4, num_documents // 20).astype(np.uint64)
        bands = np.repeat(number[:, np.newaxis], 6, axis=1)
        bands[:, ::2] //= np.uint64(100)  # big buckets as well
        sketch = np.repeat(number.astype(np.uint16)[:, np.newaxis], NUM_PERMUTATIONS, axis=1)
        files.append(Signatures(bands, sketch, np.ones(len(number), np.bool_)))
    files.close()
    tracemalloc.start()
    try:
        candidates, rank = np.ones(num_documents, np.bool_), rng.permutation(num_documents)
        pairs = similar_pairs(files, candidates, rank, 0.8)
        search_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        group_near(pairs, rank, num_documents)
        group_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(pairs) > num_documents
    one_band, buffers = 8 * num_documents, 2**21
    assert search_bytes < 48 * num_documents + one_band
    assert group_bytes < 48 * num_documents + buffers


# --- groups -----------------------------------------------------------------------------------


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=25),
            st.permutations(range(n)),
        )
    )
)
@settings(max_examples=300)
def test_groups_are_components_and_the_kept_are_chosen_in_order(
    case: tuple[list[Pair], list[int]],
) -> None:
    all_pairs, priority = case
    pairs = [(a, b) for a, b in all_pairs if a != b]
    num_documents = len(priority)
    in_order = sorted(range(num_documents), key=priority.__getitem__)
    neighbours = {a: {x + y - a for x, y in pairs if a in (x, y)} for a in in_order}
    kept: list[int] = []
    expected_kept_of = [-1] * num_documents
    expected_group = list(range(num_documents))
    for document in in_order:
        named = [of for of in kept if of in neighbours[document]]
        if named:
            expected_kept_of[document] = named[0]
        else:
            kept.append(document)
    for document in reversed(in_order):
        reached, fresh = {document}, {document}
        while fresh:
            fresh = {b for a in fresh for b in neighbours[a]} - reached
            reached |= fresh
        for other in reached:
            expected_group[other] = document
    array = np.array(pairs, np.int64).reshape(-1, 2)
    kept_of, group = group_near(array, np.array(priority, np.int64) * 10 - 50, num_documents)
    assert kept_of.dtype == group.dtype == np.int64
    assert kept_of.tolist() == expected_kept_of
    assert group.tolist() == expected_group


def test_a_long_chain_is_one_group_in_little_time() -> None:
    num_documents = 100_000
    order = np.random.default_rng(14).permutation(num_documents)
    start = time.process_time()
    for priority in (np.arange(num_documents), order):
        chain = np.stack((np.arange(num_documents - 1), np.arange(1, num_documents)), axis=1)
        kept_of, group = group_near(chain, priority, num_documents)
        assert len(set(group.tolist())) == 1
        assert (np.abs(kept_of - np.arange(num_documents))[kept_of >= 0] == 1).all()
    assert time.process_time() - start < 10


def test_news_has_the_near_duplicates_that_a_full_comparison_finds(tmp_path: Path) -> None:
    with gzip.open(shared_data("bbc_news/bbc.jsonl.gz")) as lines:
        texts = sorted({json.loads(line)["text"] for line in lines})
    runs = [true_shingles(text) for text in texts]
    by_run: dict[tuple[str, ...], list[int]] = {}
    for index, run in ((index, run) for index, some in enumerate(runs) for run in some):
        by_run.setdefault(run, []).append(index)
    num_shared = Counter(pair for some in by_run.values() for pair in combinations(some, 2))
    truth = {(a, b): n / (len(runs[a]) + len(runs[b]) - n) for (a, b), n in num_shared.items()}
    found = pairs_of(tmp_path, texts, 0.8)
    assert len(found) > 50
    assert min(truth[pair] for pair in found) > 0.7
    missed = {pair for pair, similarity in truth.items() if similarity >= 0.8} - found
    assert len(missed) <= 4
    assert all(truth[pair] < 0.9 for pair in missed)
