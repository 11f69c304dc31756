"""Says which row of a given encoder's embedding table each token of this run's vocabulary takes.

The vocab stage gives ids of its own to an adopted tokenizer, so the same token lies elsewhere.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import ArtifactError, RequestError
from tasks.pretrain.tokenizer_files import TOKENIZER_FILE, read_tokenizer
from tasks.special_roles import ROLES, special_ids
from tasks.token_names import is_placeholder, steps, unknown_name

_KINDS = "|".join(name.strip("[]") for name in SPECIAL_TOKENS)
# What the vocab stage may add to a pre_tokenizer (`tasks.vocab.special`), so that the names of
# special tokens in a text stay text: it cuts other text no differently.
GUARD: dict[str, Any] = {
    "type": "Split",
    "pattern": {"Regex": rf"\[(?=(?:{_KINDS}|unused[0-9]+)\])"},
    "behavior": "Isolated",
    "invert": False,
}
# What adopting a tokenizer changes in its model: ids, the unknown token, randomness.
CHANGED_BY_ADOPTION = {"vocab", "unk_token", "unk_id", "dropout"}


@dataclass(frozen=True)
class TokenRows:
    """Where the rows of a table come from.

    Attributes:
        given_ids: for each id of this run's vocabulary the id in the given one, -1 where that
            has no such token.
        num_given: rows of the given table.
        missing_roles: special tokens (cls, sep, ...) that the given vocabulary does not have.
    """

    given_ids: tuple[int, ...]
    num_given: int
    missing_roles: tuple[str, ...]

    @property
    def num_new(self) -> int:
        """Tokens without a row in the given table."""
        return self.given_ids.count(-1)

    @property
    def num_dropped(self) -> int:
        """Rows of the given table that no token takes."""
        return self.num_given - len(set(self.given_ids) - {-1})

    @property
    def message(self) -> str:
        """One line that says what was taken and what was not; empty where nothing moved."""
        if self.given_ids == tuple(range(self.num_given)):
            return ""
        lacking = f" (among them {', '.join(self.missing_roles)})" if self.missing_roles else ""
        return (
            f"pretrain.init_from: {len(self.given_ids) - self.num_new:,} tokens keep their rows "
            f"under this vocabulary's ids, {self.num_new:,} that are new{lacking} begin at the "
            f"mean, {self.num_dropped:,} rows of the given table are left out"
        )


def token_rows(tokenizer: Path, folder: Path, *, num_tokens: int, num_given: int) -> TokenRows:
    """Which rows of the table in `folder` the tokens of `tokenizer` take.

    Ordinary tokens are found by name, special ones by their role. Only special, unused and added
    tokens may be in one vocabulary alone.

    Args:
        tokenizer: `tokenizer.json` of this run, as the vocab stage made it.
        folder: a given encoder with its own `tokenizer.json`.
        num_tokens: rows of this run's table.
        num_given: rows of the given table.

    Raises:
        RequestError: the two cut text differently, have other tokens, or the given one has no
            mask.
        ArtifactError: one of the files is damaged or does not fit the table.
    """
    path = folder / TOKENIZER_FILE
    ours, theirs = _Vocabulary.read(tokenizer), _Vocabulary.read(path)
    if part := _difference(ours, theirs):
        raise RequestError(
            f"pretrain.init_from: {folder} was trained with another vocabulary: {part}; set "
            f"vocab.tokenizer = {path} or train from fresh weights"
        )
    roles = special_ids(folder, theirs.tokenizer)
    if "mask" not in roles:
        raise RequestError(
            f"pretrain.init_from: nothing in {folder} says which token is its mask; write "
            f'"mask_token" into tokenizer_config.json there'
        )
    given_ids = [-1] * num_tokens
    for name, token_id in ours.ids.items():
        given_ids[token_id] = theirs.ids.get(name, -1)
    for role, name in zip(ROLES, SPECIAL_TOKENS, strict=True):
        given_ids[ours.ids[name]] = roles.get(role, -1)
    if max(given_ids) >= num_given:
        raise ArtifactError(
            f"{path} has ids up to {max(given_ids)}, but the table there has {num_given} rows; "
            "choose a folder whose parts belong together"
        )
    missing = tuple(role for role in ROLES if role not in roles)
    return TokenRows(tuple(given_ids), num_given, missing)


@dataclass(frozen=True)
class _Vocabulary:
    """A tokenizer.json as the library understands it.

    Attributes:
        tokenizer: the tokenizer.
        definition: its content, in the form of the library's present version.
        ids: ids by name, added tokens included.
    """

    tokenizer: Tokenizer
    definition: dict[str, Any]
    ids: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            ArtifactError: it is no tokenizer.
        """
        tokenizer = read_tokenizer(path)
        return cls(tokenizer, json.loads(tokenizer.to_str()), tokenizer.get_vocab())

    @property
    def model(self) -> dict[str, Any]:
        """Its model section."""
        model: dict[str, Any] = self.definition["model"]
        return model

    @property
    def normalizer(self) -> list[dict[str, Any]]:
        """The steps of its normalizer."""
        return list(steps(self.definition["normalizer"]))

    @property
    def pre_tokenizer(self) -> list[dict[str, Any]]:
        """The steps of its pre_tokenizer but for the guard."""
        every = list(steps(self.definition["pre_tokenizer"]))
        return every[:-1] if every and every[-1] == GUARD else every

    @property
    def rules(self) -> dict[str, Any]:
        """What its model does with its vocabulary."""
        rules = {key: value for key, value in self.model.items() if key not in CHANGED_BY_ADOPTION}
        if self.model["type"] != "Unigram":
            rules["unk_token"] = self.model["unk_token"] is not None
        return rules

    @cached_property
    def scores(self) -> dict[str, float]:
        """Of each token, in a Unigram model."""
        return dict(self.model["vocab"]) if self.model["type"] == "Unigram" else {}

    @cached_property
    def tokens(self) -> set[str]:
        """Its model's own tokens."""
        return set(self.tokenizer.get_vocab(with_added_tokens=False))

    @cached_property
    def replaceable(self) -> set[str]:
        """Tokens that stand for no text and need no counterpart."""
        added = self.definition["added_tokens"]
        unknown = unknown_name(self.model)
        names = {token["content"] for token in added if token["special"]}
        return names | set(filter(is_placeholder, self.tokens)) | ({unknown} if unknown else set())


def _difference(ours: _Vocabulary, theirs: _Vocabulary) -> str | None:
    """The first thing that keeps the two from being one vocabulary under other ids."""
    if ours.normalizer != theirs.normalizer:
        return "its normalizer differs"
    if ours.pre_tokenizer != theirs.pre_tokenizer:
        return "its pre_tokenizer differs"
    keys = sorted(ours.rules.keys() | theirs.rules.keys(), key=lambda key: (key != "type", key))
    for key in keys:
        if ours.rules.get(key) != theirs.rules.get(key):
            return f"its model's {key} differs"
    if lacking := ours.tokens - ours.replaceable - theirs.tokens:
        return f"it lacks {_some(lacking)}"
    if further := theirs.tokens - theirs.replaceable - ours.tokens:
        return f"it has {_some(further)} besides"
    for name in sorted((ours.scores.keys() & theirs.scores.keys()) - theirs.replaceable):
        if not math.isclose(ours.scores[name], theirs.scores[name], rel_tol=1e-9):
            return f"its score of {name!r} differs"
    return None


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"the token {first!r}" + (f" and {len(others):,} others" if others else "")
