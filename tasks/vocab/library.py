"""Vocabularies that the `tokenizers` library learns: Unigram, WordPiece, and words by rule.

Each comes as a tokenizer.json like our own: special tokens first, unused ones last, no added
tokens, and no text that yields the id of either.

What is guaranteed over processes, threads and the order of texts: for WordPiece and words, the
same bytes, since their counts are whole numbers and their ties are broken by names. Unigram is
fitted in floating point, summed in the order of a hash map that is seeded anew in every process
and in as many parts as there are threads, and neither can be set. The last digits of its scores
therefore vary (measured: up to 4e-11), and with them the order of equals. Here scores are
rounded to four decimals and pieces sorted, which gives the same bytes as far as was measured;
a score on the edge of rounding, or two segmentations that are exactly as likely, could still
differ.
"""

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import CorpusError
from tasks.vocab.special import GUARD_PATTERN, lay_out
from tasks.vocab.vocabulary import NO_TRAINING_TEXT

UNKNOWN = "[UNK]"
SPACE = "▁"  # U+2581, how a Unigram vocabulary writes the space

SPACED_WORDS = r" ?\S{1,256}|\s{1,256}(?!\S)|\s"
"""Where text is cut for Unigram: words with the space before them, and what is left of runs of
white space. Nothing is lost, and no piece spans two words. Longer words are cut, since learning
takes 1.5 kB of memory for each character of the longest one."""

WORDS = r"\w+|[^\w\s]"
"""What counts as a word for the rule: letters, digits and underscores together, or one mark."""

MIN_FREQUENCY = 2
"""WordPiece merges no pair that is seen less often."""

_TRAINERS_OWN_NAME = "<(?=UNK>)"  # its name for the unknown; in text it makes the training panic
_SCORE_DECIMALS = 4
_PENALTY = 0.0001  # what the trainer adds from one re-admitted character to the next


def train_library(
    algorithm: str, texts: Iterable[str], *, vocab_size: int, pad_to_multiple: int
) -> str:
    """Learn a vocabulary.

    Args:
        algorithm: "unigram" (Kudo 2018: EM over segmentations, with pruning; lossless but for the
            character U+2581, which decodes as a space), "wordpiece" (pairs by frequency within
            words and single punctuation marks, cased; loses white space; words of more than 100
            characters are unknown) or "words" (the most frequent words and marks, ties by
            string; loses white space, and every other word is unknown).
        texts: read once. Memory is the library's: the distinct words. WordPiece also copies the
            texts to a temporary file, because its alphabet has to be known before its words.
        vocab_size: tokens in all, special ones included; fewer where the texts have no more.
        pad_to_multiple: the table is rounded up to a multiple of this with unused entries.

    Returns:
        The text of tokenizer.json.

    Raises:
        CorpusError: the texts are blank, or have more characters than the vocabulary has room.

    Cost: Unigram some 3 CPU seconds for the first megabyte and more than its share for the next
    ones; far more where words are long, as in languages without spaces. WordPiece and words as
    Hugging Face's BPE: about 30 seconds for 100 MB.
    """
    learn = {"unigram": _unigram, "wordpiece": _wordpiece, "words": _words}[algorithm]
    definition = learn(_with_text(texts), vocab_size)
    vocab = definition["model"]["vocab"]
    learned = (name for name in vocab if name not in SPECIAL_TOKENS)
    names = lay_out(learned, pad_to_multiple)
    if algorithm == "unigram":
        definition["model"]["vocab"] = [(name, vocab.get(name, 0.0)) for name in names]
    else:
        definition["model"]["vocab"] = {name: token_id for token_id, name in enumerate(names)}
    definition["added_tokens"] = []
    return json.dumps(definition, ensure_ascii=False, separators=(",", ":")) + "\n"


def _unigram(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The definition, its vocab the scores of pieces by name, best first."""
    tokenizer = Tokenizer(models.Unigram())
    cut = [
        _isolating(SPACED_WORDS),
        pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=False),
        _isolating(GUARD_PATTERN),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut, _isolating(_TRAINERS_OWN_NAME)])
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        unk_token=UNKNOWN,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    alphabet: set[str] = set()
    try:
        tokenizer.train_from_iterator(_watched(texts, alphabet), trainer)
    finally:  # also when the library says that there is no room, but not how much is needed
        _require_room({SPACE if each == " " else each for each in alphabet}, vocab_size)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cut)
    tokenizer.decoder = decoders.Metaspace(SPACE, prepend_scheme="never", split=False)
    definition = _definition(tokenizer)
    pieces = dict(definition["model"]["vocab"][len(SPECIAL_TOKENS) :])
    definition["model"]["vocab"] = repeatable_scores(pieces, vocab_size - len(SPECIAL_TOKENS))
    return definition


def repeatable_scores(pieces: dict[str, float], max_pieces: int) -> dict[str, float]:
    """What the Unigram trainer found, without what varies from run to run; best first.

    Characters that pruning had dropped are re-admitted by the trainer at the lowest score, each
    0.0001 above the one before, in the order of a hash map: all get the lowest score. Scores
    are rounded, equals sorted by name. Where the alphabet alone fills the vocabulary, the
    trainer adds every other piece too: the best of them are kept, up to `max_pieces`.
    """
    lowest, penalty = min(pieces.values()), 0.0
    characters = {name: score for name, score in pieces.items() if len(name) == 1}
    readmitted: set[str] = set()
    while found := {n for n, score in characters.items() if score == lowest + penalty}:
        readmitted |= found
        penalty += _PENALTY
    scores = {
        name: round(lowest if name in readmitted else score, _SCORE_DECIMALS)
        for name, score in pieces.items()
    }
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    longer = [name for name in ranked if len(name) > 1][: max(0, max_pieces - len(characters))]
    kept = {*characters, *longer}
    return {name: scores[name] for name in ranked if name in kept}


def _wordpiece(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The definition, its vocab by name in the order of ids.

    Left alone, the trainer numbers the `##` characters in the order of a hash map, and ties
    follow the numbers, so that every process learns another vocabulary. Naming them beforehand,
    as special tokens, is what it offers to make it repeatable.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as copy:
        alphabet: set[str] = set()
        for text in _watched(texts, alphabet):
            copy.write(json.dumps(text, ensure_ascii=False) + "\n")
        beginning, continuing = _word_characters(alphabet)
        _require_room([*beginning, *continuing], vocab_size)
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=MIN_FREQUENCY,
            special_tokens=[*SPECIAL_TOKENS, *continuing],
            initial_alphabet=beginning,
            show_progress=False,
        )
        copy.seek(0)
        tokenizer.train_from_iterator((json.loads(line) for line in copy), trainer)
    definition = _definition(tokenizer)
    vocab = definition["model"]["vocab"]
    definition["model"]["vocab"] = dict.fromkeys(sorted(vocab, key=vocab.__getitem__))
    return definition


def _words(texts: Iterable[str], vocab_size: int) -> dict[str, Any]:
    """The definition, its vocab by name in the order of ids."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "removed", invert=True)
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocab_size, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    definition = _definition(tokenizer)
    vocab = definition["model"]["vocab"]
    definition["model"]["vocab"] = dict.fromkeys(sorted(vocab, key=vocab.__getitem__))
    return definition


def _isolating(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _definition(tokenizer: Tokenizer) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads(tokenizer.to_str())
    return definition


def _word_characters(alphabet: set[str]) -> tuple[list[str], list[str]]:
    """How WordPiece writes these characters: at the beginning of a word, and after it.

    Only what the pre_tokenizer leaves attached to a letter continues a word.
    """
    cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    beginning = sorted(character for character in alphabet if cut(character))
    return beginning, [
        f"##{character}" for character in beginning if len(cut(f"a{character}")) == 1
    ]


def _with_text(texts: Iterable[str]) -> Iterator[str]:
    """The texts that are not blank.

    Raises:
        CorpusError: all of them are.
    """
    written = (text for text in texts if not text.isspace() and text)
    first = next(written, None)
    if first is None:
        raise CorpusError(NO_TRAINING_TEXT)
    return chain([first], written)


def _watched(texts: Iterable[str], alphabet: set[str]) -> Iterator[str]:
    """The same texts; their characters are collected on the way."""
    for text in texts:
        alphabet.update(text)
        yield text


def _require_room(alphabet: Collection[str], vocab_size: int) -> None:
    num_needed = len(SPECIAL_TOKENS) + len(alphabet)
    if num_needed > vocab_size:
        raise CorpusError(
            f"the corpus needs {num_needed:,} tokens for its characters alone, more than "
            f"vocab.vocab_size = {vocab_size:,}: raise it, or use vocab.algorithm bpe with "
            "vocab.symbols bytes"
        )
