"""Other vocabularies of the same size, learned from one small sample, to read ours against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from model.errors import CorpusError
from tasks.stage import Metrics
from tasks.vocab.config import VocabConfig
from tasks.vocab.learning import learn_from
from tasks.vocab.library import train_library
from tasks.vocab.pretokens import count_texts
from tasks.vocab.vocabulary import Vocabulary

LEARNED_FROM_SAMPLE = ("bpe", "unigram", "wordpiece", "words")
SAMPLE_SUFFIX = "_sample"


@dataclass(frozen=True)
class System:
    """One way of cutting text, with what was measured of it.

    Attributes:
        name: an algorithm; with `_sample` after it: the algorithm of the vocabulary itself,
            learned from no more than the others.
        is_subject: whether it is the vocabulary that the report is about.
        num_train_bytes: UTF-8 bytes it learned from; None for a given tokenizer.
        measures: by name.
    """

    name: str
    is_subject: bool
    num_train_bytes: int | None
    measures: Metrics


@dataclass(frozen=True)
class Omitted:
    """A peer that could not be learned, and why."""

    name: str
    reason: str


def learn_peers(
    vocabulary: Vocabulary,
    train: Sequence[str],
    config: VocabConfig,
    *,
    vocab_size: int,
    is_whole: bool,
) -> Iterator[tuple[str, Tokenizer] | Omitted]:
    """Every other vocabulary by name, learned from `train` alone.

    The vocabulary's own algorithm is learned once more from the sample, unless the sample is all
    the training text (`is_whole`) and nothing would come out but the same again.
    """
    own = vocabulary.algorithm
    for algorithm in LEARNED_FROM_SAMPLE:
        if algorithm == own and is_whole:
            continue
        name = algorithm + SAMPLE_SUFFIX if algorithm == own else algorithm
        try:
            definition = _learn(algorithm, train, config, vocab_size)
        except CorpusError as error:
            yield Omitted(name, str(error))
        else:
            yield name, Tokenizer.from_str(definition)


def _learn(algorithm: str, train: Sequence[str], config: VocabConfig, vocab_size: int) -> str:
    if algorithm != "bpe":
        return train_library(algorithm, train, vocab_size=vocab_size, pad_to_multiple=1)
    peer = config.model_copy(update={"vocab_size": vocab_size, "pad_to_multiple": 1})
    return learn_from(count_texts(train, peer), peer).definition
