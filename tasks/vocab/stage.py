"""The vocab stage: makes a vocabulary, writes the tokenizer, and says what it is worth."""

from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from model.bpe.learner import LearnedMerges
from model.bpe.tokenizer import SPECIAL_TOKENS, spell_merges
from model.errors import RequestError
from tasks.corpus import Corpus
from tasks.settings import StageConfig
from tasks.stage import Metrics, StageContext
from tasks.store.hashing import sha256_of
from tasks.token_names import is_placeholder
from tasks.vocab.adopt import adopt_tokenizer, unmatched_tokens
from tasks.vocab.config import VocabConfig
from tasks.vocab.definition import VOCAB
from tasks.vocab.learning import learn_vocabulary
from tasks.vocab.library import train_library
from tasks.vocab.report.writing import report_on
from tasks.vocab.vocabulary import Vocabulary

__all__ = ["VOCAB", "run"]

TOKENIZER_FILE = "tokenizer.json"
MERGES_FILE = "merges.txt"
DOCUMENTS_PER_REPORT = 256
REPORT_BYTES, BYTES_PER_ENTRY = 50_000, 30  # of what is written


def run(context: StageContext) -> Metrics:
    """Make the vocabulary of the training split, or take over the one that is given.

    Writes `tokenizer.json`, `merges.txt` where there are merges, and the report: `report.html`,
    `report.json`, `peers.parquet`, `sizes.parquet`, `plots/`.

    Raises:
        CorpusError: the training or the validation split has no text, or the alphabet does not
            fit the vocabulary.
        ArtifactError: the given tokenizer cannot be used.
    """
    context.need_room(REPORT_BYTES + BYTES_PER_ENTRY * context.config.vocab_size)
    corpus = Corpus(context.inputs["ingest"].path)
    vocabulary = _make(context, corpus)
    _write(context.output / TOKENIZER_FILE, vocabulary.definition)
    if vocabulary.learned:
        _write(context.output / MERGES_FILE, merges_text(vocabulary.learned))
    context.report.message("measuring the vocabulary beside its peers")
    metrics = report_on(vocabulary, corpus, context.config, context.output)
    return metrics | ({"compile_seconds": vocabulary.compile_s} if vocabulary.compile_s else {})


def merges_text(learned: LearnedMerges) -> str:
    """The merges one a line, in the form of GPT-2's `merges.txt`."""
    merges = spell_merges(learned.merges, learned.alphabet)
    return "\n".join(["#version: 0.2", *(f"{left} {right}" for left, right in merges), ""])


def sources(config: StageConfig) -> dict[str, str] | None:
    """What identifies the user's files: their hashes, not where they lie.

    Raises:
        RequestError: one of them is not there.
    """
    assert isinstance(config, VocabConfig)
    named = {"tokenizer": config.tokenizer, "affixes": config.affixes, "conllu": config.conllu}
    given = {name: path for name, path in named.items() if path is not None}
    for name, path in given.items():
        if not path.is_file():
            raise RequestError(f"vocab.{name}: {path} is not a file; name one, or leave it out")
    return {name: sha256_of(path) for name, path in given.items()} or None


def _make(context: StageContext, corpus: Corpus) -> Vocabulary:
    config: VocabConfig = context.config
    if config.tokenizer:
        return _take_over(config.tokenizer, context)
    if config.algorithm == "bpe":
        return learn_vocabulary(context, corpus)
    definition = train_library(
        config.algorithm,
        _watched(corpus, context),
        vocab_size=config.vocab_size,
        pad_to_multiple=config.pad_to_multiple,
    )
    _say_if_smaller(definition, context)
    return Vocabulary(config.algorithm, definition)


def _watched(corpus: Corpus, context: StageContext) -> Iterator[str]:
    """The training texts; how many have been read is shown, and that the rest is silent."""
    num_documents = corpus.about.num_documents["train"]
    for number, text in enumerate(corpus.texts("train"), 1):
        yield text
        if number % DOCUMENTS_PER_REPORT == 0 or number == num_documents:
            context.report.progress(number, num_documents, "documents")
    context.report.message(
        f"learning {context.config.algorithm}; the tokenizers library does not say how far it is"
    )


def _say_if_smaller(definition: str, context: StageContext) -> None:
    wanted = context.config.vocab_size
    names = Tokenizer.from_str(definition).get_vocab()
    num_tokens = sum(not is_placeholder(name) for name in names)
    if num_tokens + len(SPECIAL_TOKENS) < wanted:
        context.report.warning(
            f"the corpus gave {context.config.algorithm} no more than {num_tokens:,} tokens; the "
            f"vocabulary is smaller than vocab.vocab_size = {wanted:,}"
        )


def _take_over(path: Path, context: StageContext) -> Vocabulary:
    definition = adopt_tokenizer(path, pad_to_multiple=context.config.pad_to_multiple)
    ordinary = unmatched_tokens(path)
    if ordinary:
        context.report.warning(
            f"vocab.tokenizer: {len(ordinary):,} tokens that {path.name} adds to its model, such "
            f"as {ordinary[0]!r}, are cut as ordinary text here"
        )
    return Vocabulary("given", definition)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
