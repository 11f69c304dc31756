"""Encodes corpus shards into Arrow files of token ids, one a split."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tasks.corpus import SPLITS, read_shard
from tasks.spread import OnDone
from tasks.token_batches import encode_batches, token_schema


@dataclass(frozen=True)
class EncodeTask:
    """One corpus shard to encode.

    Attributes:
        tokenizer, tokenizer_id: its file, and the content id of the artifact that holds it.
        folder: where the encoded files go.
        number: of the shard, in corpus order.
    """

    tokenizer: Path
    tokenizer_id: str
    folder: Path
    number: int
    shard: Path


def encode_shard(task: EncodeTask, on_done: OnDone) -> int:
    """Write ``<split>-<number>.arrow`` for every split; returns the number of documents.

    Encoding runs on the library's own threads and holds no interpreter lock.
    """
    tokenizer = _read_tokenizer(task.tokenizer, task.tokenizer_id)
    table = read_shard(task.shard, ["doc_id", "text", "split"])
    schema = token_schema(tokenizer.get_vocab_size())
    for split in SPLITS:
        documents = table.filter(pc.equal(table["split"], split))
        path = task.folder / f"{split}-{task.number:05d}.arrow"
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for batch in encode_batches(tokenizer, documents, schema):
                writer.write_batch(batch)
                on_done(batch.num_rows)
    return int(table.num_rows)


@lru_cache(maxsize=1)
def _read_tokenizer(path: Path, content_id: str) -> Tokenizer:
    """Read once for all shards that a process encodes; another content under a path is another."""
    return Tokenizer.from_file(str(path))
