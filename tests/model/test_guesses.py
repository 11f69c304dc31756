"""The passages are whole, chosen once, and the guesses are the model's own."""

from collections import Counter

import pytest
import torch

from model.guesses import DIGITS, NUM_GUESSES, PASSAGE_TOKENS, GuessingTask, choose_passages
from model.initialization import initialize
from model.masked_batches import MaskedBatch
from model.mlm import MaskedLanguageModel
from tests.model.training_runs import CONFIG, MadeUpRows, validation_rows

CPU = torch.device("cpu")


def batches(**changes: int) -> list[MaskedBatch]:
    return list(validation_rows(**changes).batches())


def chosen(num_passages: int = 8, seed: int = 0, **changes: int) -> GuessingTask:
    return choose_passages(batches(**changes), num_passages=num_passages, seed=seed)


@pytest.fixture(scope="module")
def model() -> MaskedLanguageModel:
    """Scaled up, so that its guesses differ clearly."""
    model = MaskedLanguageModel(CONFIG)
    initialize(model, CONFIG, 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4.0)
    return model


def test_the_choice_depends_on_the_seed_and_not_on_batches() -> None:
    assert chosen().passages == chosen(micro_rows=3).passages
    assert chosen().passages != chosen(seed=1).passages
    assert chosen(3).passages == chosen(3).passages


def test_passages_are_text_with_gaps_from_different_rows() -> None:
    task = chosen()
    assert len(task.passages) == 8
    assert len(task.masked.batch.token_ids_BL) == 8
    for passage in task.passages:
        assert 0 < len(passage.token_ids) <= 1.5 * PASSAGE_TOKENS
        assert not set(passage.token_ids) & set(CONFIG.special_ids)
        assert passage.gaps
        assert list(passage.gaps) == sorted(set(passage.gaps))
        assert passage.gaps[-1] < len(passage.token_ids)


def test_a_short_validation_gives_every_gap_once() -> None:
    [batch] = batches(max_rows=2)
    task = chosen(1000, max_rows=2)
    assert sum(len(passage.gaps) for passage in task.passages) == batch.num_targets
    targets = Counter(batch.targets_M.tolist())
    assert Counter(task.masked.targets_M.tolist()) == targets
    flat = task.masked.positions_M.tolist()
    assert len(set(flat)) == len(flat)


def test_passages_hold_what_stood_in_the_rows() -> None:
    seen_N = {tuple(map(int, piece)) for row in range(40) for piece in MadeUpRows().row(row)}
    for passage in chosen(1000).passages:
        if passage.is_beginning and passage.is_end:
            assert passage.token_ids in seen_N
        assert any(_lies_in(passage.token_ids, piece) for piece in seen_N)


def _lies_in(part: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    starts = range(len(whole) - len(part) + 1)
    return any(whole[start : start + len(part)] == part for start in starts)


@torch.no_grad()
def test_guesses_are_what_the_model_says_in_validation(model: MaskedLanguageModel) -> None:
    expected: Counter[tuple[int, int, float]] = Counter()
    for batch in batches(micro_rows=5):
        probabilities_MV = model(batch.batch, batch.positions_M).softmax(-1)
        for probabilities_V, target in zip(probabilities_MV, batch.targets_M.tolist(), strict=True):
            best = int(probabilities_V.argmax())
            expected[target, best, round(float(probabilities_V[target]), 1)] += 1
    task = chosen(1000)
    answers = [one for each in task(model, CPU, torch.float32) for one in each]
    assert len(answers) > 100
    given = Counter((one.token_id, one.guesses[0][0], round(one.probability, 1)) for one in answers)
    differing = sum((given - expected).values())
    assert differing <= 0.02 * len(answers)  # best guesses that round alike, and halves


def test_guesses_are_ranked_and_rounded(model: MaskedLanguageModel) -> None:
    task = chosen()
    for passage, answers in zip(task.passages, task(model, CPU, torch.float32), strict=True):
        assert [one.token_id for one in answers] == [passage.token_ids[at] for at in passage.gaps]
        for one in answers:
            assert len(one.guesses) == NUM_GUESSES
            assert list(one.guesses) == sorted(one.guesses, key=lambda each: (-each[1], each[0]))
            assert all(value == round(value, DIGITS) for _, value in one.guesses)
            assert one.is_right == (one.guesses[0][0] == one.token_id)


def test_half_precision_and_another_batching_say_nearly_the_same(
    model: MaskedLanguageModel,
) -> None:
    exact = chosen()(model, CPU, torch.float32)
    assert chosen(micro_rows=3)(model, CPU, torch.float32) == exact
    rough = chosen()(model, CPU, torch.bfloat16)
    pairs = [pair for each in zip(exact, rough, strict=True) for pair in zip(*each, strict=True)]
    assert all(abs(one.probability - other.probability) < 0.1 for one, other in pairs)
