"""Learns the vocabulary of a corpus by byte pair encoding: counts, then merges.

Byte pair encoding is run as expectation and maximization (DESIGN, BPE). The name is a way of
reading, and an honest one only so far: the expectation step is a count and the maximization step
a greedy choice; there is no latent posterior, no likelihood that rises, and no bound that
tightens, as there is in the EM of a Unigram vocabulary. What is optimised, greedily, is the
length of the corpus in tokens.
"""

import shutil

from model.bpe.alphabet import BYTES, Alphabet, characters_of
from model.bpe.learner import LearnedMerges, learn
from model.bpe.tokenizer import SPECIAL_TOKENS, tokenizer_json
from model.bpe.warm import warm_up
from model.bpe.words import CountedWords
from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.progress import SharedProgress
from tasks.stage import StageContext
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import MergedCounts, ShardCounter, merge_counts
from tasks.vocab.vocabulary import Vocabulary

NO_TEXT = (
    "the corpus has no training text to learn a vocabulary from: add documents, or name some of "
    "them `train` in ingest.split_column"
)


def learn_vocabulary(context: StageContext, corpus: Corpus) -> Vocabulary:
    """Count the pretokens of the training split and merge them.

    Raises:
        CorpusError: there is no training text, or more characters than the vocabulary has room
            for.
    """
    config: VocabConfig = context.config
    warm_up(context.report.message)
    words = _kept(_count(context, corpus), context)
    alphabet = first_symbols(words, config)
    learned = _merge(context, words, alphabet)
    definition = tokenizer_json(
        learned.merges,
        pattern=config.pattern,
        alphabet=alphabet,
        pad_to_multiple=config.pad_to_multiple,
    )
    return Vocabulary("bpe", definition, words, learned)


def first_symbols(words: CountedWords, config: VocabConfig) -> Alphabet:
    """The alphabet that the settings ask for.

    Raises:
        CorpusError: the words are written in more characters than the vocabulary has room for.
    """
    if config.symbols == "bytes":
        return BYTES
    return characters_of(words, max_characters=config.vocab_size - len(SPECIAL_TOKENS))


def _count(context: StageContext, corpus: Corpus) -> MergedCounts:
    folder = context.output / "counts"
    shutil.rmtree(folder, ignore_errors=True)  # an earlier attempt's
    folder.mkdir(parents=True)
    progress = SharedProgress(context.report, corpus.about.num_documents["train"], "documents")
    count = ShardCounter(context.config, folder, progress)
    paths = context.map_shards(count, corpus.shards, name="count")
    merged = merge_counts(paths, context.config.max_pretokens)
    shutil.rmtree(folder)
    if not len(merged.words):
        raise CorpusError(NO_TEXT)
    return merged


def _kept(merged: MergedCounts, context: StageContext) -> CountedWords:
    """The words to learn from; what was left out is said."""
    num_omitted = merged.num_distinct - len(merged.words)
    if num_omitted:
        omitted_frac = 1 - merged.words.num_bytes / merged.num_bytes
        context.report.warning(
            f"vocab.max_pretokens = {context.config.max_pretokens:,} leaves out the rarest "
            f"{num_omitted:,} of {merged.num_distinct:,} distinct pretokens, "
            f"{omitted_frac:.2%} of the text"
        )
    return merged.words


def _merge(context: StageContext, words: CountedWords, alphabet: Alphabet) -> LearnedMerges:
    config: VocabConfig = context.config
    num_wanted = config.vocab_size - len(SPECIAL_TOKENS) - len(alphabet)
    learned = learn(
        words,
        num_merges=num_wanted,
        alphabet=alphabet,
        top_k=config.top_k,
        min_frequency=config.min_frequency,
        on_progress=lambda done, total: context.report.progress(done, total, "merges"),
    )
    if len(learned.merges) < num_wanted:
        context.report.warning(
            f"the corpus ran out of pairs seen {config.min_frequency} times after "
            f"{len(learned.merges):,} of {num_wanted:,} merges; the vocabulary is smaller than "
            f"vocab.vocab_size = {config.vocab_size:,}"
        )
    return learned
