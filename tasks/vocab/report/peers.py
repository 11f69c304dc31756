"""Other vocabularies of the same size, learned from one small sample, to read ours against."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from model.bpe.learner import learn
from model.bpe.tokenizer import NUM_FIXED_TOKENS, tokenizer_json
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import count_pretokens

UNKNOWN = "[UNK]"
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class PeerRow:
    """How one vocabulary cuts the validation sample.

    Attributes:
        system: bpe, wordpiece, unigram or words.
        vocab_size: entries it has; fewer than asked where the sample had no more to give.
        bytes_per_token: UTF-8 bytes of text for each token.
        fertility: tokens for each whitespace-separated word.
        unknown_frac: the share of tokens that stand for nothing it knows.
        is_lossless: whether decoding gives the text back, white space and all.
    """

    system: str
    vocab_size: int
    bytes_per_token: float
    fertility: float
    unknown_frac: float
    is_lossless: bool


def compare_peers(
    train: Sequence[str], validation: Sequence[str], config: VocabConfig
) -> list[dict[str, Any]]:
    """One row for each way of making a vocabulary, all learned from `train` alone."""
    size = config.vocab_size
    rows = [
        _row("bpe", train_bpe(train, config), validation, is_lossless=True),
        _row("wordpiece", train_wordpiece(train, size), validation, is_lossless=False),
        _row("unigram", train_unigram(train, size), validation, is_lossless=False),
        _words_row(train, validation, size),
    ]
    return [asdict(row) for row in rows]


def train_bpe(texts: Sequence[str], config: VocabConfig) -> Tokenizer:
    """Our own learner on the sample."""
    counts = count_pretokens(texts, config.pattern)
    words = [(pretoken.encode(), count) for pretoken, count in sorted(counts.items())]
    num_merges = config.vocab_size - NUM_FIXED_TOKENS
    merges = learn(words, num_merges=num_merges, min_frequency=config.min_frequency).merges
    return Tokenizer.from_str(tokenizer_json(merges, pattern=config.pattern, pad_to_multiple=1))


def train_wordpiece(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """The library's WordPiece, which picks pairs by frequency as BPE does.

    Left alone it numbers the `##` characters in the order of a hash map, so that every process
    learns another vocabulary; naming them beforehand makes it repeatable.
    """
    characters = sorted({character for text in texts for character in text} - set(" \t\r\n"))
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[UNKNOWN, *(f"##{character}" for character in characters)],
        initial_alphabet=characters,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    plain = Tokenizer(models.WordPiece(vocab=tokenizer.get_vocab(), unk_token=UNKNOWN))
    plain.pre_tokenizer = tokenizer.pre_tokenizer
    return plain


def train_unigram(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """The library's Unigram (Kudo 2018), the vocabulary that is fitted by EM in earnest."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, unk_token=UNKNOWN, special_tokens=[UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _row(system: str, tokenizer: Tokenizer, texts: Sequence[str], *, is_lossless: bool) -> PeerRow:
    encodings = tokenizer.encode_batch_fast(list(texts))
    token_ids = [token_id for encoding in encodings for token_id in encoding.ids]
    unknown_id = tokenizer.token_to_id(UNKNOWN)
    num_unknown = sum(token_id == unknown_id for token_id in token_ids)
    return _measured(
        system, tokenizer.get_vocab_size(), len(token_ids), num_unknown, texts, is_lossless
    )


def _words_row(train: Sequence[str], validation: Sequence[str], vocab_size: int) -> PeerRow:
    """Rule-based words: the most frequent ones are the vocabulary, the others unknown."""
    seen = Counter(word for text in train for word in _WORD.findall(text))
    ranked = sorted(seen, key=lambda word: (-seen[word], word))
    known = set(ranked[: vocab_size - 1])
    words = [word for text in validation for word in _WORD.findall(text)]
    num_unknown = sum(word not in known for word in words)
    return _measured("words", len(known) + 1, len(words), num_unknown, validation, False)


def _measured(
    system: str,
    vocab_size: int,
    num_tokens: int,
    num_unknown: int,
    texts: Sequence[str],
    is_lossless: bool,
) -> PeerRow:
    return PeerRow(
        system=system,
        vocab_size=vocab_size,
        bytes_per_token=round(sum(len(text.encode()) for text in texts) / num_tokens, 4),
        fertility=round(num_tokens / sum(len(text.split()) for text in texts), 4),
        unknown_frac=round(num_unknown / num_tokens, 4),
        is_lossless=is_lossless,
    )
