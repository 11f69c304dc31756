"""What the vocab stage has made, by whichever algorithm, for those who write and measure it."""

from dataclasses import dataclass

from model.bpe.learner import LearnedMerges
from model.bpe.words import CountedWords

NO_TRAINING_TEXT = (
    "the corpus has no training text to learn a vocabulary from: add documents, or name some of "
    "them `train` in ingest.split_column"
)
"""What is said of a corpus that no algorithm can learn from."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A tokenizer and, where it was learned by merging, what it was learned from.

    Attributes:
        algorithm: bpe, unigram, wordpiece, words, or given for one that was taken over.
        definition: the text of `tokenizer.json`.
        words: the pretokens of the training split with their counts; None unless bpe.
        learned: the merges; None unless bpe.
        compile_s: seconds spent on compiling the learner, which happens once on a machine.
    """

    algorithm: str
    definition: str
    words: CountedWords | None = None
    learned: LearnedMerges | None = None
    compile_s: float = 0.0
