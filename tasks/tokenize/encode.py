"""Encodes corpus shards into Arrow files of token ids, one a split."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tasks.corpus import SPLITS, read_shard
from tasks.progress import SharedProgress
from tasks.token_batches import encode_batches, token_schema


@dataclass(frozen=True)
class ShardEncoder:
    """Encodes one corpus shard into ``<split>-<number>.arrow``, a file for every split.

    Encoding runs on the library's own threads and holds no interpreter lock.
    """

    tokenizer: Tokenizer
    folder: Path
    progress: SharedProgress

    def __call__(self, numbered_shard: tuple[int, Path]) -> None:
        number, shard = numbered_shard
        table = read_shard(shard, ["doc_id", "text", "split"])
        schema = token_schema(self.tokenizer.get_vocab_size())
        for split in SPLITS:
            documents = table.filter(pc.equal(table["split"], split))
            path = self.folder / f"{split}-{number:05d}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
                for batch in encode_batches(self.tokenizer, documents, schema):
                    writer.write_batch(batch)
                    self.progress.add(batch.num_rows)
