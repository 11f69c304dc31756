"""Rewrites tokens without documents: their ids become unknown tokens, so that every row stays where
the packing plan says."""

from collections.abc import Set
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.errors import RequestError
from tasks.store.artifact import Artifact
from tasks.tokens import DOC_ID, TokenizedCorpus


def rewrite_tokens(tokens: Artifact, doc_ids: Set[str], folder: Path) -> int:
    """Write new versions of the files that hold these documents; returns how many those are.

    Raises:
        RequestError: an earlier version made the tokens, which do not name their documents.
    """
    unknown = TokenizedCorpus(tokens.path).summary.special_ids["unk"]
    return sum(
        _rewrite(path, doc_ids, unknown, folder / path.relative_to(tokens.path))
        for path in sorted((tokens.path / "tokens").glob("*.arrow"))
    )


def _rewrite(path: Path, doc_ids: Set[str], unknown: int, new: Path) -> int:
    wanted = pa.array(sorted(doc_ids), pa.string())
    num_found = 0
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        if DOC_ID not in reader.schema.names:
            raise RequestError(
                f"{path.parent.parent} was made by an earlier version and does not name its "
                "documents: delete the folder, nothing but a run of tokenize needs it"
            )
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        masks = [pc.is_in(batch[DOC_ID], value_set=wanted).to_numpy(False) for batch in batches]
        num_found = sum(int(mask.sum()) for mask in masks)
        if num_found:
            new.parent.mkdir(parents=True, exist_ok=True)
            with pa.OSFile(str(new), "wb") as out, pa.ipc.new_file(out, reader.schema) as writer:
                for batch, mask in zip(batches, masks, strict=True):
                    writer.write_batch(_blanked(batch, mask, unknown))
    return num_found


def _blanked(
    batch: pa.RecordBatch, mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]", unknown: int
) -> pa.RecordBatch:
    column = batch["token_ids"]
    offsets, values = column.offsets.to_numpy(), column.values.to_numpy().copy()
    for row in np.flatnonzero(mask):
        values[offsets[row] : offsets[row + 1]] = unknown
    lists = pa.LargeListArray.from_arrays(
        pa.array(offsets), pa.array(values, column.type.value_type)
    )
    columns = {name: batch[name] for name in batch.schema.names} | {"token_ids": lists}
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
