"""What there is to say about a vocabulary: numbers on validation text, examples, and peers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from model.bpe.alphabet import BYTE_CHARACTERS
from model.bpe.learner import LearnedMerges
from model.bpe.reference import Pair, encode
from model.bpe.tokenizer import spell_merges, spell_symbols
from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.stage import Metrics
from tasks.vocab.config import VocabConfig
from tasks.vocab.peers import compare_peers
from tasks.vocab.sample import sample_texts

VALIDATION_BYTES = 2**20
PEER_TRAIN_BYTES = 2**18  # more, and training the Unigram peer outlasts the rest of the stage
NUM_EXAMPLES = 10
MIN_EXAMPLE_LETTERS = 6
NUM_FIRST_MERGES = 50
STEPS = (10, 100, 1000)

Words = Sequence[tuple[bytes, int]]


@dataclass(frozen=True)
class VocabReport:
    """The numbers for the tracker, and the content of `report.json` around them."""

    metrics: Metrics
    content: dict[str, Any]


def report_on(
    definition: str, learned: LearnedMerges, words: Words, corpus: Corpus, config: VocabConfig
) -> VocabReport:
    """Measure a learned vocabulary.

    Args:
        definition: the text of `tokenizer.json`.
        learned: what the learner returned for `words`.
        words: the pretokens of the training split with their counts.

    Raises:
        CorpusError: the validation split has no words.
    """
    validation = sample_texts(corpus, "validation", VALIDATION_BYTES)
    if not any(text.split() for text in validation):
        raise CorpusError(
            "the corpus has no validation text to measure the vocabulary on: add documents, or "
            "name some of them `validation` in ingest.split_column"
        )
    tokenizer = Tokenizer.from_str(definition)
    train = sample_texts(corpus, "train", PEER_TRAIN_BYTES)
    measured = measure(tokenizer, validation)
    metrics = {
        **measured,
        "train_bytes_per_token": _bytes_in(words) / learned.num_tokens,
        "num_merges": float(len(learned.merges)),
        "num_rounds": float(learned.num_rounds),
        "vocab_size": float(tokenizer.get_vocab_size()),
        "num_distinct_pretokens": float(len(words)),
    }
    content = {
        "settings": config.identity(),
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "num_validation_bytes": _num_bytes(validation),
        "first_merges": [
            " ".join(pair) for pair in spell_merges(learned.merges[:NUM_FIRST_MERGES])
        ],
        "examples": show_examples(words, learned.merges),
        "peers": {
            "num_train_bytes": _num_bytes(train),
            "rows": compare_peers(train, validation, config),
        },
    }
    return VocabReport(metrics, content)


def measure(tokenizer: Tokenizer, texts: Sequence[str]) -> Metrics:
    """Bytes a token, share of single-byte tokens, and tokens a whitespace-separated word."""
    encodings = tokenizer.encode_batch_fast(list(texts))
    token_ids = [token_id for encoding in encodings for token_id in encoding.ids]
    single_ids = {tokenizer.token_to_id(character) for character in BYTE_CHARACTERS}
    return {
        "bytes_per_token": _num_bytes(texts) / len(token_ids),
        "single_byte_frac": sum(i in single_ids for i in token_ids) / len(token_ids),
        "fertility": len(token_ids) / sum(len(text.split()) for text in texts),
    }


def show_examples(words: Words, merges: Sequence[Pair]) -> list[dict[str, Any]]:
    """How the most frequent longer words are cut after 10, 100, 1000 and all merges."""
    long_words = [
        (word, count)
        for word, count in words
        if len(letters := word.decode().strip()) >= MIN_EXAMPLE_LETTERS and letters.isalpha()
    ]
    frequent = sorted(long_words, key=lambda item: (-item[1], item[0]))[:NUM_EXAMPLES]
    return [
        {"pretoken": word.decode(), "count": count, "cuts": show_cuts(word, merges)}
        for word, count in frequent
    ]


def show_cuts(word: bytes, merges: Sequence[Pair]) -> dict[str, list[str]]:
    """A word's tokens after the first 10, 100, 1000 and all merges."""
    spelling = spell_symbols(merges)
    stages = {str(step): merges[:step] for step in STEPS if step < len(merges)}
    return {
        name: [spelling[symbol].decode(errors="replace") for symbol in encode(word, so_far)]
        for name, so_far in {**stages, "all": merges}.items()
    }


def _bytes_in(words: Words) -> int:
    return sum(len(word) * count for word, count in words)


def _num_bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode()) for text in texts)
