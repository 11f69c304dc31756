"""Takes a user's own tokenizer.json and gives it our ids, cutting text as it did."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import ArtifactError, RequestError
from model.json_files import read_text
from tasks.given_tokenizers import parse_tokenizer
from tasks.token_names import is_byte, is_placeholder, unknown_name
from tasks.vocab.special import cuts_names, guarded, lay_out

UNKNOWN = "[UNK]"

_ADVICE = (
    "set vocab.tokenizer to a tokenizer.json of Hugging Face tokenizers, such as "
    "transformers' save_pretrained writes"
)


def adopt_tokenizer(path: Path, *, pad_to_multiple: int) -> str:
    """The text of a tokenizer.json that cuts ordinary text exactly as the given one does.

    Our five special tokens take the place of its own, whatever it calls them (`<s>`, `<pad>`,
    `<|endoftext|>`); its unknown token becomes [UNK]. The other tokens follow in the order of
    their ids, without its `[unused…]` entries, which are made anew. What it puts around text or
    cuts off (post-processor, truncation, padding) and dropout in merging are left out.

    Text is treated differently in four places. The names of its special tokens, and of ours, are
    ordinary text. Added tokens that are not special, which a tokenizer.json finds in text before
    its model sees it, are ordinary text too; `unmatched_tokens` tells which. And a Unigram
    model without an unknown token, which fails on unknown text, gets one. Where the name of the
    unknown token is also a character of text ("?"), the two are told apart from now on.

    Args:
        path: the given tokenizer.json.
        pad_to_multiple: the table is rounded up to a multiple of this with unused entries.

    Raises:
        RequestError: there is no such file.
        ArtifactError: it is no tokenizer, or one without a vocabulary.
    """
    given = _Given.read(path)
    names = lay_out(given.ordinary_tokens(), pad_to_multiple)
    if given.is_unigram:
        model = {**given.model, "unk_id": names.index(UNKNOWN), "vocab": given.scored(names)}
    else:
        unknown = None if given.unknown is None else UNKNOWN
        ids = {name: token_id for token_id, name in enumerate(names)}
        model = {**given.model, "unk_token": unknown, "vocab": ids}
    if "dropout" in model:
        model["dropout"] = None
    definition = {
        **given.definition,
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "pre_tokenizer": given.pre_tokenizer(),
        "post_processor": None,
        "model": model,
    }
    return _whole(json.dumps(definition, ensure_ascii=False, separators=(",", ":")) + "\n", path)


def unmatched_tokens(path: Path) -> list[str]:
    """Added tokens of the given file, not special, that adopting it makes ordinary text.

    Raises:
        RequestError, ArtifactError: as `adopt_tokenizer`.
    """
    given = _Given.read(path)
    adopted = Tokenizer.from_str(adopt_tokenizer(path, pad_to_multiple=1))
    added = [token["content"] for token in given.added if not token["special"]]
    return [
        name for name in added if not is_placeholder(name) and adopted.encode(name).tokens != [name]
    ]


@dataclass(frozen=True)
class _Given:
    """A tokenizer.json as the library understands it.

    Attributes:
        definition: its content, in the form of the library's present version.
        tokens: names of the model's own vocabulary, in the order of ids.
        scores: of each of them, in a Unigram model.
    """

    definition: dict[str, Any]
    tokens: list[str]
    scores: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> "_Given":
        """Read a file.

        Raises:
            RequestError, ArtifactError: as `adopt_tokenizer`.
        """
        tokenizer, text = _load(path)
        definition = json.loads(tokenizer.to_str())
        ids = tokenizer.get_vocab(with_added_tokens=False)
        if not ids:
            raise ArtifactError(f"{path} is a tokenizer without a vocabulary: {_ADVICE}")
        is_unigram = definition["model"]["type"] == "Unigram"
        # From the file, because the library may change a number's last digit by reading it.
        scores = dict(json.loads(text)["model"]["vocab"]) if is_unigram else {}
        return cls(definition, sorted(ids, key=lambda name: (ids[name], name)), scores)

    @property
    def model(self) -> dict[str, Any]:
        """Its model section."""
        model: dict[str, Any] = self.definition["model"]
        return model

    @property
    def added(self) -> list[dict[str, Any]]:
        """Its added tokens."""
        added: list[dict[str, Any]] = self.definition["added_tokens"]
        return added

    @property
    def is_unigram(self) -> bool:
        """Whether its model is a list of pieces with scores."""
        return bool(self.model["type"] == "Unigram")

    @property
    def unknown(self) -> str | None:
        """What it calls its unknown token."""
        return unknown_name(self.model)

    def ordinary_tokens(self) -> Iterator[str]:
        """Names of the tokens to keep, in the order of ids.

        Special, unknown and unused ones are dropped, but for those that a model needs for other
        tokens: the bytes that it falls back to, and what merges begin with and lead to.
        """
        replaced = {token["content"] for token in self.added if token["special"]}
        replaced |= {self.unknown} if self.unknown is not None else set()
        needed = self._needed()
        for name in self.tokens:
            is_replaced = name in replaced or is_placeholder(name)
            if name not in SPECIAL_TOKENS and (name in needed or not is_replaced):
                yield name

    def scored(self, names: Sequence[str]) -> list[tuple[str, float]]:
        """These names with their scores in a Unigram model.

        Unknown text is charged by the lowest score of all entries, so that must stay: new
        entries have it, and [UNK] where the entry that had it was dropped. Theirs is never used.
        """
        lowest = min(self.scores.values())
        scores = {name: self.scores.get(name, lowest) for name in names}
        if lowest < min(scores.values()):
            scores[UNKNOWN] = lowest
        return list(scores.items())

    def pre_tokenizer(self) -> dict[str, Any] | None:
        """Its pre_tokenizer, guarded if special or unused names could otherwise come out."""
        part: dict[str, Any] | None = self.definition["pre_tokenizer"]
        if not self._can_yield_names() or cuts_names(part):
            return part
        return guarded(part)

    def _can_yield_names(self) -> bool:
        """Only a BPE that has to merge its way to every token cannot yield what none leads to."""
        if self.model["type"] != "BPE" or self.model["ignore_merges"]:
            return True
        return any(is_placeholder(name) for name in self._merged())

    def _needed(self) -> Collection[str]:
        needed = {name for name in self.tokens if self.model.get("byte_fallback") and is_byte(name)}
        if self.model["type"] == "BPE":
            needed |= {part for pair in self.model["merges"] for part in pair}
            needed |= set(self._merged())
            needed |= {name for name in self.tokens if len(self._bare(name)) == 1}
        return needed

    def _merged(self) -> Iterable[str]:
        prefix = self.model["continuing_subword_prefix"] or ""
        return (left + right.removeprefix(prefix) for left, right in self.model["merges"])

    def _bare(self, name: str) -> str:
        prefix = self.model["continuing_subword_prefix"] or ""
        suffix = self.model["end_of_word_suffix"] or ""
        return name.removeprefix(prefix).removesuffix(suffix)


def _whole(text: str, path: Path) -> str:
    """The text, once the library takes it; it does not of a model with two tokens of one id."""
    try:
        parse_tokenizer(text)
    except ValueError as error:
        raise ArtifactError(f"{path} cannot be adopted ({error}): {_ADVICE}") from None
    return text


def _load(path: Path) -> tuple[Tokenizer, str]:
    if not path.is_file():
        raise RequestError(f"vocab.tokenizer: {path} is no file; {_ADVICE}")
    try:
        text = read_text(path)
        return parse_tokenizer(text), text
    except UnicodeDecodeError:
        raise ArtifactError(f"{path} is no text, so no tokenizer: {_ADVICE}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} is no tokenizer ({error}): {_ADVICE}") from None
