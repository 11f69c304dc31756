"""Encodes tables of documents into Arrow batches of token ids."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from tasks.tokens import DOC_ID

Int64s = npt.NDArray[np.int64]

BATCH_BYTES = 2**21  # of text handed to the tokenizer at once; its answer takes some 30 times that


def token_schema(vocab_size: int) -> pa.Schema:
    """Columns of a token file: the narrowest ids that hold the vocabulary, text bytes, names."""
    id_type = pa.uint16() if vocab_size <= 2**16 else pa.int32()
    return pa.schema(
        [("token_ids", pa.large_list(id_type)), ("num_bytes", pa.int64()), (DOC_ID, pa.string())]
    )


def encode_batches(
    tokenizer: Tokenizer, documents: pa.Table, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Token ids without special tokens, UTF-8 bytes and id of each document in order."""
    num_bytes = pc.binary_length(documents["text"]).to_numpy().astype(np.int64)
    for start, end in batch_bounds(num_bytes):
        batch = documents.slice(start, end - start)
        encodings = tokenizer.encode_batch_fast(batch["text"].to_pylist(), add_special_tokens=False)
        columns = [
            list_array([encoding.ids for encoding in encodings], schema),
            pa.array(num_bytes[start:end]),
            pa.concat_arrays(batch[DOC_ID].chunks),  # copied whole, no id becomes an object
        ]
        yield pa.record_batch(columns, schema=schema)


def batch_bounds(num_bytes: Int64s) -> Iterator[tuple[int, int]]:
    """Runs of texts of about `BATCH_BYTES` together, as begin and end."""
    batch_of_text = (np.cumsum(num_bytes) - num_bytes) // BATCH_BYTES
    ends = np.flatnonzero(np.diff(batch_of_text, append=-1)) + 1
    return pairwise([0, *ends.tolist()])


def list_array(token_ids: Sequence[Sequence[int]], schema: pa.Schema) -> pa.LargeListArray:
    """Lists of ids as one Arrow array of the schema's type."""
    id_type = schema.field("token_ids").type.value_type
    offsets = np.cumsum([0, *map(len, token_ids)], dtype=np.int64)
    values = np.fromiter(chain.from_iterable(token_ids), id_type.to_pandas_dtype(), offsets[-1])
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values, id_type))
