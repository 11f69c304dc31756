"""The vocab stage: counts pretokens, learns merges, writes the tokenizer and what to think of it.

Byte pair encoding is run as expectation and maximization (DESIGN, BPE). The name is a way of
reading, and an honest one only so far: the expectation step is a count and the maximization step
a greedy choice; there is no latent posterior, no likelihood that rises, and no bound that
tightens, as there is in the EM of a Unigram vocabulary. What is optimised, greedily, is the
length of the corpus in tokens. `report.json` therefore sets the result beside a Unigram and a
WordPiece vocabulary and beside plain words, and shows what a user should look at: how text is
cut, and how many bytes a token carries on documents that were not learned from.
"""

import json
import shutil
from pathlib import Path

from model.bpe.learner import LearnedMerges, learn
from model.bpe.tokenizer import NUM_FIXED_TOKENS, spell_merges, tokenizer_json
from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.progress import SharedProgress
from tasks.stage import Metrics, Stage, StageContext
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import ShardCounter, merge_counts
from tasks.vocab.report import report_on

Words = list[tuple[bytes, int]]


def run(context: StageContext) -> Metrics:
    """Learn the vocabulary of the training split.

    Writes `tokenizer.json`, `merges.txt` and `report.json`.

    Raises:
        CorpusError: the training or the validation split has no text.
    """
    config: VocabConfig = context.config
    corpus = Corpus(context.inputs["ingest"].path)
    words = _count_words(context, corpus)
    learned = _learn(context, words)
    definition = tokenizer_json(
        learned.merges, pattern=config.pattern, pad_to_multiple=config.pad_to_multiple
    )
    _write(context.output / "tokenizer.json", definition)
    _write(context.output / "merges.txt", merges_text(learned))
    report = report_on(definition, learned, words, corpus, config)
    _write(context.output / "report.json", json.dumps(report.content, indent=2) + "\n")
    return report.metrics


def merges_text(learned: LearnedMerges) -> str:
    """The merges one a line, in the form of GPT-2's `merges.txt`."""
    lines = [f"{left} {right}" for left, right in spell_merges(learned.merges)]
    return "\n".join(["#version: 0.2", *lines, ""])


def _count_words(context: StageContext, corpus: Corpus) -> Words:
    counts = context.output / "counts"
    shutil.rmtree(counts, ignore_errors=True)  # an earlier attempt's
    counts.mkdir(parents=True)
    progress = SharedProgress(context.report, corpus.about.num_documents["train"], "documents")
    count = ShardCounter(context.config.pattern, counts, progress)
    words = merge_counts(context.map_shards(count, corpus.shards, name="count"))
    shutil.rmtree(counts)
    if not words:
        raise CorpusError(
            "the corpus has no training text to learn a vocabulary from: add documents, or name "
            "some of them `train` in ingest.split_column"
        )
    return words


def _learn(context: StageContext, words: Words) -> LearnedMerges:
    config: VocabConfig = context.config
    num_wanted = config.vocab_size - NUM_FIXED_TOKENS
    learned = learn(
        words,
        num_merges=num_wanted,
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


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


VOCAB = Stage(
    name="vocab",
    version=1,
    upstream=("ingest",),
    run=run,
    tracked_files=("tokenizer.json", "merges.txt"),
    quoting_files=("report.json",),
)
