"""Counts the pretokens of the training split, shard by shard: all that the learner needs to know.

Whole documents are cut, never lines, because a pattern may match across line ends. Each shard's
counts go to a file, so that shards can be counted by any thread or process and in any order.

Memory is bounded by a shard and, when all are merged, by the distinct pretokens. Those still grow
with the corpus (by half as it doubles, roughly); `max_pretokens` bounds them too: then files are
merged a part of the pretokens at a time, and only the most frequent ones are kept. That is exact:
a pretoken is left out only when its count in the whole corpus is among the rare ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.bpe.counting import WordCounter, add_up
from model.bpe.marking import mark_words
from model.bpe.words import Bytes, CountedWords, Int64s
from tasks.corpus import read_batches
from tasks.shard_notes import done_before, note_done
from tasks.spread import OnDone
from tasks.store.hashing import sha256_of
from tasks.vocab.config import VocabConfig

CHUNK_ROWS = 2**16
MARKED = "eow"  # the scanner's name for texts with the ends of words marked


@dataclass(frozen=True)
class CountTask:
    """One corpus shard to count, and the folder for what was counted."""

    config: VocabConfig
    folder: Path
    shard: Path

    @property
    def counts(self) -> Path:
        """The file that the counts go to."""
        return self.folder / f"{self.shard.stem}.arrow"

    @property
    def note(self) -> Path:
        """The file that says when the shard is done."""
        return self.folder / f"{self.shard.stem}.json"


def count_shard(task: CountTask, on_done: OnDone) -> int:
    """Count one corpus shard into its file, unless an earlier attempt has; returns the number of
    documents."""
    key = sha256_of(task.shard)
    num_before = done_before(task.note, key, [task.counts])
    if num_before is not None:
        on_done(num_before)
        return num_before
    counter = pretoken_counter(task.config)
    num_documents = 0
    for batch in read_batches(task.shard, ["text"], "train"):
        count_batch(counter, batch.column("text"), task.config)
        num_documents += batch.num_rows
        on_done(batch.num_rows)
    write_counts(counter.words(), task.counts)
    note_done(task.note, key, [task.counts], num_documents)
    return num_documents


def pretoken_counter(config: VocabConfig) -> WordCounter:
    """An empty counter that cuts as the settings say."""
    return WordCounter(MARKED if config.symbols == "characters" else config.pattern)


def count_batch(counter: WordCounter, texts: pa.Array, config: VocabConfig) -> None:
    """Count an Arrow array of texts; bytes are read where they lie, without making strings."""
    if config.symbols == "characters":
        counter.add_texts(mark_words(texts.to_pylist()))
        return
    text, bounds = _contents(texts.cast(pa.large_string()))
    counter.add(text, bounds[1:])


def count_texts(texts: Iterable[str], config: VocabConfig) -> CountedWords:
    """The distinct pretokens of a few texts in memory."""
    counter = pretoken_counter(config)
    counter.add_texts(mark_words(texts) if config.symbols == "characters" else texts)
    return counter.words()


def write_counts(words: CountedWords, path: Path) -> None:
    """Write words, their counts, and a number that says which part of a merge they belong to."""
    starts = np.cumsum(words.lengths) - words.lengths
    part = np.add.reduceat(words.text_N, starts, dtype=np.int64) if len(words) else starts
    bounds = np.append(starts, len(words.text_N))
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(words.text_N)]
    column = pa.Array.from_buffers(pa.large_binary(), len(words), buffers)
    table = pa.table({"pretoken": column, "count": words.counts, "part": part})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=CHUNK_ROWS)


@dataclass(frozen=True, eq=False)
class MergedCounts:
    """The counts of a whole corpus.

    Attributes:
        words: the pretokens to learn from, the most frequent first.
        num_distinct: how many there are with those left out.
        num_bytes: bytes of text that all of them make up.
    """

    words: CountedWords
    num_distinct: int
    num_bytes: int


def merge_counts(paths: Sequence[Path], max_pretokens: int | None) -> MergedCounts:
    """The sums over all files, the same whatever their order."""
    num_rows = sum(batch.num_rows for batch in _read(paths, ["count"]))
    num_parts = 1 + (num_rows // max_pretokens if max_pretokens else 0)
    kept = CountedWords.from_pairs([])
    num_distinct = num_bytes = 0
    for part in range(num_parts):
        words = add_up(_words_of_part(paths, part, num_parts))
        num_distinct += len(words)
        num_bytes += words.num_bytes
        kept = add_up([kept, words]).first(max_pretokens or len(words))
    return MergedCounts(kept, num_distinct, num_bytes)


def _words_of_part(paths: Sequence[Path], part: int, num_parts: int) -> Iterator[CountedWords]:
    for batch in _read(paths):
        if num_parts > 1:
            batch = batch.filter(pa.array(batch.column("part").to_numpy() % num_parts == part))
        text, bounds = _contents(batch.column("pretoken"))
        yield CountedWords(text, np.diff(bounds), batch.column("count").to_numpy())


def _read(paths: Sequence[Path], columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The files a batch at a time, and not mapped, which would count as this process's memory."""
    for path in paths:
        with pa.OSFile(str(path)) as file:
            names = pa.ipc.open_file(file).schema.names
            included = [names.index(name) for name in columns or names]
            options = pa.ipc.IpcReadOptions(included_fields=included)
            reader = pa.ipc.open_file(file, options=options)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)


def _contents(strings: pa.Array) -> tuple[Bytes, Int64s]:
    """The bytes of a large string or binary array as they lie in memory, and N + 1 bounds."""
    _, offsets, data = strings.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)
    bounds = bounds[strings.offset : strings.offset + len(strings) + 1]
    text = np.frombuffer(data or b"", dtype=np.uint8)[bounds[0] : bounds[-1]]
    return text, bounds - bounds[0]
