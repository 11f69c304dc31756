"""Learns the vocabulary of a corpus by byte pair encoding: counts, then merges.

Byte pair encoding is run as expectation and maximization (DESIGN, BPE). The name is a way of
reading, and an honest one only so far: the expectation step is a count and the maximization step
a greedy choice; there is no latent posterior, no likelihood that rises, and no bound that
tightens, as there is in the EM of a Unigram vocabulary. What is optimised, greedily, is the
length of the corpus in tokens.
"""

from dataclasses import replace

from model.bpe.alphabet import BYTES, Alphabet, characters_of
from model.bpe.learner import OnProgress, learn
from model.bpe.tokenizer import SPECIAL_TOKENS, tokenizer_json
from model.bpe.warm import warm_up
from model.bpe.words import CountedWords
from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.progress import SharedProgress
from tasks.spread import spread
from tasks.stage import StageContext
from tasks.store.atomic import make_folder
from tasks.store.staging import SCRATCH
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import CountTask, MergedCounts, count_shard, merge_counts
from tasks.vocab.vocabulary import NO_TRAINING_TEXT, Vocabulary


def learn_vocabulary(context: StageContext, corpus: Corpus) -> Vocabulary:
    """Count the pretokens of the training split and merge them.

    Raises:
        CorpusError: there is no training text, or more characters than the vocabulary has room
            for.
    """
    compile_s = warm_up(context.report.message)
    merged = count_corpus(context, corpus)
    _say_what_is_left_out(merged, context)
    made = learn_from(
        merged.words,
        context.config,
        on_progress=lambda done, total: context.report.progress(done, total, "merges"),
    )
    _say_if_pairs_ran_out(made, context)
    return replace(made, compile_s=compile_s)


def learn_from(
    words: CountedWords, config: VocabConfig, *, on_progress: OnProgress | None = None
) -> Vocabulary:
    """Merge counted pretokens into a vocabulary, a smaller one where pairs run out.

    Raises:
        CorpusError: the words are written in more characters than the vocabulary has room for.
    """
    alphabet = first_symbols(words, config)
    learned = learn(
        words,
        num_merges=num_wanted(alphabet, config),
        alphabet=alphabet,
        top_k=config.top_k,
        min_frequency=config.min_frequency,
        on_progress=on_progress,
    )
    definition = tokenizer_json(
        learned.merges,
        pattern=config.pattern,
        alphabet=alphabet,
        pad_to_multiple=config.pad_to_multiple,
    )
    return Vocabulary("bpe", definition, words, learned)


def num_wanted(alphabet: Alphabet, config: VocabConfig) -> int:
    """How many merges fill the vocabulary."""
    return max(0, config.vocab_size - len(SPECIAL_TOKENS) - len(alphabet))


def first_symbols(words: CountedWords, config: VocabConfig) -> Alphabet:
    """The alphabet that the settings ask for.

    Raises:
        CorpusError: the words are written in more characters than the vocabulary has room for.
    """
    if config.symbols == "bytes":
        return BYTES
    return characters_of(words, max_characters=config.vocab_size - len(SPECIAL_TOKENS))


def count_corpus(context: StageContext, corpus: Corpus) -> MergedCounts:
    """The pretokens of the training split, counted by shard and added up.

    Raises:
        CorpusError: there are none.
    """
    folder = context.output / SCRATCH / "counts"
    make_folder(folder)
    progress = SharedProgress(context.report, corpus.about.num_documents["train"], "documents")
    tasks = [CountTask(context.config, folder, shard) for shard in corpus.shards]
    spread(context, count_shard, tasks, name="count", progress=progress, num_done=int)
    merged = merge_counts([task.counts for task in tasks], context.config.max_pretokens)
    if not len(merged.words):
        raise CorpusError(NO_TRAINING_TEXT)
    return merged


def _say_what_is_left_out(merged: MergedCounts, context: StageContext) -> None:
    num_omitted = merged.num_distinct - len(merged.words)
    if num_omitted:
        omitted_frac = 1 - merged.words.num_bytes / merged.num_bytes
        context.report.warning(
            f"vocab.max_pretokens = {context.config.max_pretokens:,} leaves out the rarest "
            f"{num_omitted:,} of {merged.num_distinct:,} distinct pretokens, "
            f"{omitted_frac:.2%} of the text"
        )


def _say_if_pairs_ran_out(made: Vocabulary, context: StageContext) -> None:
    config: VocabConfig = context.config
    assert made.learned is not None
    wanted = num_wanted(made.learned.alphabet, config)
    if len(made.learned.merges) < wanted:
        context.report.warning(
            f"the corpus ran out of pairs seen {config.min_frequency} times after "
            f"{len(made.learned.merges):,} of {wanted:,} merges; the vocabulary is smaller than "
            f"vocab.vocab_size = {config.vocab_size:,}"
        )
