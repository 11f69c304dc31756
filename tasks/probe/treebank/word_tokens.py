"""Which tokens of the encoder stand for which words of a sentence.

Letters: L tokens of a sentence, W its words, P pairs of a token and a word that share a character.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tasks.probe.treebank.conllu import Sentence

IntArray = NDArray[np.int64]
_SENTENCES_AT_ONCE = 1024


@dataclass(frozen=True)
class AlignedSentence:
    """A sentence's tokens and words, every word with at least one token.

    A token that reaches into two words belongs to both; one of a blank alone to none.

    Attributes:
        tokens_L: int32 ids, no special tokens.
        token_P: int64, tokens of the pairs, words in order and tokens in order within each.
        word_P: int64, words of the pairs.
        num_words: W.
    """

    tokens_L: NDArray[np.int32]
    token_P: IntArray
    word_P: IntArray
    num_words: int


@dataclass(frozen=True)
class Aligned:
    """The sentences that an encoder can read whole.

    Attributes:
        sentences: S of them.
        kept_S: int64, their places among the sentences given.
        num_too_long: left out: over the encoder's most tokens.
        num_lost_words: left out: the tokenizer drops a word, such as a lone mark.
    """

    sentences: list[AlignedSentence]
    kept_S: IntArray
    num_too_long: int
    num_lost_words: int

    @property
    def num_words(self) -> int:
        """Words of all sentences."""
        return sum(sentence.num_words for sentence in self.sentences)

    @property
    def num_tokens(self) -> int:
        """Tokens of all sentences, without special ones."""
        return sum(len(sentence.tokens_L) for sentence in self.sentences)


def align(tokenizer: Tokenizer, sentences: Sequence[Sentence], *, max_tokens: int) -> Aligned:
    """Encode the sentences' texts and find each word's tokens by their characters.

    Args:
        tokenizer: the encoder's, as `tasks.embedder.load_tokenizer` gives it.
        sentences: with the places of their words.
        max_tokens: the longest sequence the encoder was trained on, both special tokens included.

    Cost: about 2 s for 10,000 sentences.
    """
    aligned: list[AlignedSentence] = []
    kept: list[int] = []
    num_too_long = num_lost_words = 0
    for start in range(0, len(sentences), _SENTENCES_AT_ONCE):
        group = sentences[start : start + _SENTENCES_AT_ONCE]
        encodings = tokenizer.encode_batch([one.text for one in group], add_special_tokens=False)
        for place, (sentence, encoding) in enumerate(zip(group, encodings, strict=True), start):
            if len(encoding.ids) + 2 > max_tokens:
                num_too_long += 1
                continue
            token_P, word_P = _pairs(encoding.offsets, sentence.spans)
            if len(np.unique(word_P)) < len(sentence.spans):
                num_lost_words += 1
                continue
            ids = np.array(encoding.ids, np.int32)
            aligned.append(AlignedSentence(ids, token_P, word_P, len(sentence.spans)))
            kept.append(place)
    return Aligned(aligned, np.array(kept, np.int64), num_too_long, num_lost_words)


def _pairs(
    tokens: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]
) -> tuple[IntArray, IntArray]:
    """Tokens and words whose characters overlap, by word."""
    token_L2 = np.array(tokens, np.int64).reshape(-1, 2)
    word_W2 = np.array(words, np.int64).reshape(-1, 2)
    starts_before_WL = token_L2[:, 0] < word_W2[:, 1:]
    ends_after_WL = token_L2[:, 1] > word_W2[:, :1]
    is_some_L = token_L2[:, 0] < token_L2[:, 1]
    word_P, token_P = np.nonzero(starts_before_WL & ends_after_WL & is_some_L)
    return token_P, word_P
