"""How much there is of what the stages work on: counted where a stage has run, else guessed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flows.config import PipelineConfig
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.sources import Source, list_sources

BYTES_PER_TOKEN_AT_8K = 4.0  # English text with a vocabulary of 8192
BYTES_PER_TOKEN_A_DOUBLING = 0.25  # more with each doubling of the vocabulary
GZIP_RATIO = 2.7  # of English text
DOCUMENTATION_SHARE = 0.155  # of Python's source files
BYTES_PER_DOCUMENT = 2000
CODE_SUFFIX = ".py"

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Amounts:
    """What the stages of one run read.

    Attributes:
        is_code: whether the sources are Python's, whose documentation is read.
        num_source_bytes: of the files, unpacked as far as that can be known.
        num_text_bytes: of the documents that are kept.
        num_documents: kept.
        train_frac: of the text, in the train split.
        validation_frac: of the text, in the validation split.
        num_tokens: of the documents that are kept.
    """

    is_code: bool
    num_source_bytes: float
    num_text_bytes: float
    num_documents: float
    train_frac: float
    validation_frac: float
    num_tokens: float

    @property
    def num_train_bytes(self) -> float:
        """Of text, in the train split."""
        return self.num_text_bytes * self.train_frac

    @property
    def document_tokens(self) -> float:
        """Of a document, on average."""
        return self.num_tokens / max(self.num_documents, 1.0)

    @property
    def num_validation_tokens(self) -> float:
        """In the validation split."""
        return self.num_tokens * self.validation_frac


def expected_amounts(config: PipelineConfig, counted: Mapping[str, Metrics]) -> Amounts:
    """What a run with these settings will read.

    Args:
        config: the settings; the files they name are looked at, not read.
        counted: the metrics of stages that have run as these settings ask for.
    """
    sources = list_sources(config.ingest)
    guessed = _guessed(config.ingest, sources)
    return with_counts(guessed, config.vocab.vocab_size, counted)


def with_counts(guessed: Amounts, vocab_size: int, counted: Mapping[str, Metrics]) -> Amounts:
    """The amounts with what ingest and tokenize have counted in place of guesses."""
    amounts = _with_corpus(guessed, counted["ingest"]) if "ingest" in counted else guessed
    doublings = math.log2(vocab_size / 8192)
    bytes_per_token = BYTES_PER_TOKEN_AT_8K + BYTES_PER_TOKEN_A_DOUBLING * doublings
    num_tokens = amounts.num_text_bytes / bytes_per_token
    if "tokenize" in counted:
        num_tokens = counted["tokenize"].get("num_tokens", num_tokens)
    return replace(amounts, num_tokens=num_tokens)


def counted_amounts(
    source_names: list[str], vocab_size: int, counted: Mapping[str, Metrics]
) -> Amounts:
    """What a run has read whose ingest is among `counted`."""
    nothing = Amounts(
        is_code=_is_code(source_names),
        num_source_bytes=0.0,
        num_text_bytes=0.0,
        num_documents=0.0,
        train_frac=0.0,
        validation_frac=0.0,
        num_tokens=0.0,
    )
    return with_counts(nothing, vocab_size, counted)


def _with_corpus(amounts: Amounts, metrics: Metrics) -> Amounts:
    num_text_bytes = metrics.get("num_text_bytes", amounts.num_text_bytes)
    text = max(num_text_bytes, 1.0)
    return replace(
        amounts,
        num_source_bytes=metrics.get("num_source_bytes", amounts.num_source_bytes),
        num_text_bytes=num_text_bytes,
        num_documents=metrics.get("num_kept", amounts.num_documents),
        train_frac=metrics.get("num_train_text_bytes", 0.0) / text,
        validation_frac=metrics.get("num_validation_text_bytes", 0.0) / text,
    )


def _guessed(config: IngestConfig, sources: list[Source]) -> Amounts:
    plain = sum(source.num_bytes for source in sources if not source.name.endswith(".gz"))
    packed = sum(source.num_bytes for source in sources if source.name.endswith(".gz"))
    is_code = not config.paths
    num_text_bytes = DOCUMENTATION_SHARE * plain if is_code else plain + GZIP_RATIO * packed
    return Amounts(
        is_code=is_code,
        num_source_bytes=plain + packed,
        num_text_bytes=num_text_bytes,
        num_documents=max(len(sources), num_text_bytes / BYTES_PER_DOCUMENT),
        train_frac=1.0 - config.validation_frac - config.test_frac,
        validation_frac=config.validation_frac,
        num_tokens=0.0,
    )


def _is_code(source_names: list[str]) -> bool:
    num_code = sum(name.endswith(CODE_SUFFIX) for name in source_names)
    return 2 * num_code > len(source_names)
