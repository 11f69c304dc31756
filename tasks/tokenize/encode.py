"""Encodes corpus shards into Arrow files of token ids, one a split."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tasks.corpus import SPLITS, read_shard
from tasks.shard_notes import done_before, note_done
from tasks.spread import OnDone
from tasks.store.hashing import sha256_of
from tasks.token_batches import encode_batches, token_schema


@dataclass(frozen=True)
class EncodeTask:
    """One corpus shard to encode.

    Attributes:
        tokenizer, tokenizer_id: its file, and the content id of the artifact that holds it.
        folder: where the encoded files go.
        number: of the shard, in corpus order.
        note: the file that says when the shard is done.
    """

    tokenizer: Path
    tokenizer_id: str
    folder: Path
    number: int
    shard: Path
    note: Path

    @property
    def files(self) -> dict[str, Path]:
        """The file of each split."""
        return {split: self.folder / f"{split}-{self.number:05d}.arrow" for split in SPLITS}


def encode_shard(task: EncodeTask, on_done: OnDone) -> int:
    """Write ``<split>-<number>.arrow`` for every split; returns the number of documents.

    What an earlier attempt has written stays. Encoding runs on the library's own threads and holds
    no interpreter lock.
    """
    key, files = f"{sha256_of(task.shard)} {task.tokenizer_id}", list(task.files.values())
    num_before = done_before(task.note, key, files)
    if num_before is not None:
        on_done(num_before)
        return num_before
    tokenizer = _read_tokenizer(task.tokenizer, task.tokenizer_id)
    table = read_shard(task.shard, ["doc_id", "text", "split"])
    schema = token_schema(tokenizer.get_vocab_size())
    for split, path in task.files.items():
        documents = table.filter(pc.equal(table["split"], split))
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in encode_batches(tokenizer, documents, schema):
                writer.write_batch(batch)
                on_done(batch.num_rows)
    note_done(task.note, key, files, table.num_rows)
    return int(table.num_rows)


@lru_cache(maxsize=1)
def _read_tokenizer(path: Path, content_id: str) -> Tokenizer:
    """Read once for all shards that a process encodes; another content under a path is another."""
    return Tokenizer.from_file(str(path))
