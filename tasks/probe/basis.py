"""What an encoder's numbers were taken on, and in what two encoders' were taken otherwise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.probe.treebank.tree_probes import CHAIN, HEAD_FOUND, OFFSET
from tasks.probe.treebank.word_samples import DEPREL, FEATURE, UPOS

TREEBANK, OTHERS = "conllu", "compare_with"
"""Under which the stage's `sources` name them, where they name more than a treebank."""

SYSTEMS = ("random_", "control_", "word2vec_", "unigram_", "majority_", OFFSET, CHAIN)
"""What stands before the name of a measure that is not of the encoder itself."""

_OF_SYSTEM = f"({'|'.join(SYSTEMS)})*"
_OF_TREEBANK = re.compile(f"{_OF_SYSTEM}({UPOS}|{DEPREL}|{HEAD_FOUND}|{FEATURE}|tree_|relation_)")
_OF_LABELS = re.compile(f"{_OF_SYSTEM}document_label")
_TOKENIZER_FILE = re.compile(r"(.*/)?tokenizer\.json")
_TREEBANK_SETTINGS = ("seed", "num_seeds", "num_words")
_LABEL_SETTINGS = ("seed", "num_seeds", "num_labelled_documents", "max_tokens_per_document")
_EXAMPLE_SETTINGS = ("seed", "num_seeds", "num_examples", "window_tokens")
_SAMPLE_SETTINGS = ("seed", "num_documents", "max_tokens_per_document")


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a probe read.

    Attributes:
        contents: content_id of each upstream artifact, by stage.
        settings: those of the probe that change its result.
        treebank: names and digests of the treebank's files, sorted; empty: there was none.
        encoder: digests of an encoder's files, by name, where it came from elsewhere with a
            tokenizer of its own.
    """

    contents: Mapping[str, str]
    settings: Mapping[str, Any]
    treebank: tuple[tuple[str, ...], ...]
    encoder: Mapping[str, Any]

    @property
    def corpus(self) -> str | None:
        """What identifies the documents."""
        return self.contents.get("ingest")

    @property
    def tokens(self) -> str | None:
        """What identifies them as tokens; None where they were not kept as such."""
        return None if self.encoder else self.contents.get("tokenize")

    @property
    def tokenizer(self) -> Any:
        """What identifies the tokenizer."""
        if not self.encoder:
            return self.contents.get("vocab")
        return [digest for name, digest in self.encoder.items() if _TOKENIZER_FILE.fullmatch(name)]


def basis_of(contents: Mapping[str, str], settings: Mapping[str, Any], sources: Any) -> Basis:
    """The basis out of what a manifest says.

    Args:
        contents: content_id by stage.
        settings: of the identity.
        sources: of the identity: None, a treebank's digests, or several kinds by name.
    """
    named = _by_name(sources)
    treebank = named.pop(TREEBANK, None) or ()
    named.pop(OTHERS, None)
    return Basis(
        contents=contents,
        settings=settings,
        treebank=tuple(sorted(tuple(file) for file in treebank)),
        encoder=named,
    )


def with_others(sources: Any, others: Mapping[str, Any]) -> Any:
    """The stage's sources and what identifies other encoders; where there are none, as they are.

    Args:
        sources: None, a treebank's digests, or several kinds by name.
        others: by name.
    """
    return {**_by_name(sources), OTHERS: dict(others)} if others else sources


def is_of_treebank(measure: str) -> bool:
    """Whether a measure was read from the user's treebank, whichever system it is of."""
    return _OF_TREEBANK.match(measure) is not None


def taken_otherwise(one: Basis, other: Basis, measure: str, *, is_probed: bool) -> list[str]:
    """Why two numbers of a measure allow no verdict, in words; empty where they do.

    Probes of a treebank need the same files, probes of document labels the same corpus, all else
    the same tokens; and each the same settings of how many of them are drawn.

    Args:
        one, other: of the encoders.
        measure: its name.
        is_probed: whether it is of probes on examples.
    """
    if is_of_treebank(measure):
        why = [] if one.treebank == other.treebank else ["other treebanks"]
        return [*why, *_other_settings(one, other, _TREEBANK_SETTINGS)]
    if _OF_LABELS.match(measure):
        return [*other_corpora(one, other), *_other_settings(one, other, _LABEL_SETTINGS)]
    settings = _EXAMPLE_SETTINGS if is_probed else _SAMPLE_SETTINGS
    why = [*other_corpora(one, other), *other_tokenizers(one, other)]
    return [*why, *_other_settings(one, other, settings)]


def other_corpora(one: Basis, other: Basis) -> list[str]:
    """Whether documents differ, in words."""
    is_same = _is_same(one.corpus, other.corpus) or _is_same(one.tokens, other.tokens)
    return [] if is_same else ["other corpora"]


def other_tokenizers(one: Basis, other: Basis) -> list[str]:
    """Whether tokenizers differ, in words."""
    is_same = _is_same(one.tokenizer, other.tokenizer) or _is_same(one.tokens, other.tokens)
    return [] if is_same else ["other tokenizers"]


def _by_name(sources: Any) -> dict[str, Any]:
    """Sources by what they are; a treebank may stand alone, without a name."""
    if isinstance(sources, Mapping):
        return dict(sources)
    return {} if sources is None else {TREEBANK: sources}


def _is_same(one: Any, other: Any) -> bool:
    """Whether both are known and equal."""
    return bool(one) and one == other


def _other_settings(one: Basis, other: Basis, names: Sequence[str]) -> list[str]:
    return [
        f"other settings ({name}: {_shown(one, name)} and {_shown(other, name)})"
        for name in names
        if one.settings.get(name) != other.settings.get(name)
    ]


def _shown(basis: Basis, name: str) -> str:
    value = basis.settings.get(name)
    return f"{value:,}" if isinstance(value, int) else "not set"
