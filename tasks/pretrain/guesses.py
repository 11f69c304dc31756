"""Masked passages with the model's guesses, kept at each validation and shown as one page.

The page quotes the user's text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from model.guesses import Guessed, GuessingTask, Passage, choose_passages
from model.masked_batches import MaskedBatch
from model.mlm import MaskedLanguageModel
from tasks.report.page import Section, Table, render_report
from tasks.token_text import TokenText
from tasks.visible_text import visible

GUESSES_FILE = "guesses.html"
NUM_PASSAGES = 8
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"  # text that runs right to left stays in its place
_COLUMNS = ("masked token", "its probability", "best guess", "second", "third")


@dataclass(frozen=True, kw_only=True)
class Guesses:
    """The passages of a run, and how to write down what a model makes of them.

    Attributes:
        task: the passages.
        text: spells their tokens.
        device: where the model is.
        precision: as in training.
    """

    task: GuessingTask
    text: TokenText
    device: torch.device
    precision: torch.dtype

    @classmethod
    def of(
        cls,
        batches: Sequence[MaskedBatch],
        tokenizer: Tokenizer,
        *,
        device: torch.device,
        precision: torch.dtype,
        seed: int,
        num_passages: int = NUM_PASSAGES,
    ) -> "Guesses":
        """Choose passages of the validation batches: the same for the same batches and seed."""
        task = choose_passages(batches, num_passages=num_passages, seed=seed)
        return cls(task=task, text=TokenText(tokenizer), device=device, precision=precision)

    def __call__(self, model: MaskedLanguageModel) -> list[dict[str, Any]]:
        """One JSON object a passage: `parts` are text and gaps in turn, `cut` says which ends are
        not those of the document. A gap has the masked token, its probability and the guesses.
        """
        answers = self.task(model, self.device, self.precision)
        return [
            {
                "parts": self._parts(passage, guessed),
                "cut": [not passage.is_beginning, not passage.is_end],
            }
            for passage, guessed in zip(self.task.passages, answers, strict=True)
        ]

    def _parts(self, passage: Passage, answers: Sequence[Guessed]) -> list[Any]:
        parts: list[Any] = []
        start = 0
        for gap, answer in zip(passage.gaps, answers, strict=True):
            if gap > start:
                parts.append(self.text.spell(passage.token_ids[start:gap]))
            parts.append(self._gap(answer))
            start = gap + 1
        if start < len(passage.token_ids):
            parts.append(self.text.spell(passage.token_ids[start:]))
        return parts

    def _gap(self, answer: Guessed) -> dict[str, Any]:
        return {
            "token": self.text.spell([answer.token_id]),
            "probability": answer.probability,
            "guesses": [[self.text.spell([token]), value] for token, value in answer.guesses],
            "is_right": answer.is_right,
        }


def write_guesses(samples: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Writes `guesses.html` from all samples of a run, see `guesses_page`."""
    (folder / GUESSES_FILE).write_text(guesses_page(samples), encoding="utf-8")


def guesses_page(samples: Sequence[Mapping[str, Any]]) -> str:
    """The page: a section for each validation, the newest first, older ones folded.

    Args:
        samples: passages as `Guesses` returns them, each with `step`, the updates before it.

    The same samples give the same bytes.
    """
    validations = [(step, list(each)) for step, each in groupby(samples, lambda one: one["step"])]
    sections = [
        _section(step, passages, folded=number > 0)
        for number, (step, passages) in enumerate(reversed(validations))
    ]
    return render_report(
        "What the model guesses",
        sections,
        lead="The same passages at every validation. In brackets stands each token that the model "
        "did not see, then ✓ where its best guess is right, or ✗ and that guess, and how "
        "sure it is. In the tables ␣ is a blank.",
    )


def _section(step: int, passages: Sequence[Mapping[str, Any]], *, folded: bool) -> Section:
    gaps = [part for passage in passages for part in passage["parts"] if not isinstance(part, str)]
    num_right = sum(gap["is_right"] for gap in gaps)
    return Section(
        title=f"After {step:,} steps",
        paragraphs=[f"{num_right} of {len(gaps)} masked tokens guessed right."],
        blocks=[_table(passage, folded=folded) for passage in passages],
    )


def _table(passage: Mapping[str, Any], *, folded: bool) -> Table:
    gaps = [part for part in passage["parts"] if not isinstance(part, str)]
    return Table(
        says=_line(passage),
        columns=_COLUMNS,
        rows=[_row(gap) for gap in gaps],
        num_label_columns=len(_COLUMNS),
        emphasized=frozenset(number for number, gap in enumerate(gaps) if gap["is_right"]),
        folded=folded,
    )


def _row(gap: Mapping[str, Any]) -> list[str]:
    guesses = [f"{_token(text)} {_percent(value)}" for text, value in gap["guesses"]]
    guesses[0] += " ✓" if gap["is_right"] else ""
    filling = [""] * (len(_COLUMNS) - 2 - len(guesses))  # of a vocabulary of fewer tokens
    return [_token(gap["token"]), _percent(gap["probability"]), *guesses, *filling]


def _line(passage: Mapping[str, Any]) -> str:
    """The passage as running text with its gaps in brackets."""
    begins_cut, ends_cut = passage["cut"]
    parts = [
        visible(part) if isinstance(part, str) else _bracket(part) for part in passage["parts"]
    ]
    line = "".join(parts).strip()
    return _isolated(f"{'… ' * begins_cut}{line}{' …' * ends_cut}")


def _bracket(gap: Mapping[str, Any]) -> str:
    """The gap between the blanks of its token."""
    token: str = gap["token"]
    guess, probability = gap["guesses"][0]
    before, after = " " * token.startswith(" "), " " * token.endswith(" ")
    answer = "✓" if gap["is_right"] else f"✗ {_word(guess)}"
    return f"{before}[{_word(token)} {answer} {_percent(probability)}]{after}"


def _word(text: str) -> str:
    """A token inside a line: without its blanks, unless it is nothing else."""
    return _isolated(visible(text.strip(" "))) if text.strip(" ") else _token(text)


def _token(text: str) -> str:
    """A token alone, with its blanks."""
    return _isolated(visible(text).replace(" ", "␣")) if text else "(nothing)"


def _isolated(text: str) -> str:
    return f"{_ISOLATE}{text}{_END_ISOLATE}"


def _percent(frac: float) -> str:
    return f"{100 * frac:.0f} %" if frac else "<1 %"
