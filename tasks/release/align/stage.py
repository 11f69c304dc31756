"""The align stage: a dataset rotated onto an older one, the rotation, and what it costs."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import CorpusError, RequestError
from model.procrustes import Block, Matrix, RotationFit, blocks_between, rotated
from tasks.corpus import Corpus
from tasks.embeddings_dataset import EmbeddingsDataset, parts_of
from tasks.export.dataset import read_description
from tasks.release.align.config import AlignConfig
from tasks.release.align.costs import Aligned, Costs, costs_of
from tasks.release.align.definition import OLD_EXPORT
from tasks.release.align.rotated_files import write_rotated, write_rotation
from tasks.release.common_rows import CommonRows, sample_of
from tasks.stage import Metrics, StageContext
from tasks.vector_index import Rows

ALIGNMENT = "alignment.json"


def run(context: StageContext) -> Metrics:
    """Fit the rotation, measure it, write the rotated files.

    It is fitted on documents that both datasets have and that are not test documents, and measured
    on those that are; on all of them where there are not two of each.

    Returns:
        What `tasks.release.align.costs.Costs` names, and how many documents there were.

    Raises:
        RequestError: the vectors are of different widths.
        CorpusError: the datasets have no two documents in common.
        ArtifactError: a dataset is damaged.
    """
    config: AlignConfig = context.config
    new, old = context.inputs["export"].path, context.inputs[OLD_EXPORT].path
    context.need_room(sum(path.stat().st_size for path in new.iterdir() if path.is_file()))
    rows = _common_rows(new, old)
    fitted, measured = _parts(rows)
    fitted = sample_of(fitted, config.max_documents, config.seed)
    blocks = blocks_between(
        read_description(old).get("matryoshka_dims", []), rows.first.dataset.dim
    )
    _warn_of_few(context, len(fitted), blocks)
    fit = RotationFit(blocks)
    fit.add(rows.first.vectors_of(fitted), rows.second.vectors_of(fitted))
    rotation = {  # as it is written, so that whoever applies the file gets the same vectors
        block: matrix_BB.astype(np.float32).astype(np.float64)
        for block, matrix_BB in fit.rotation().items()
    }
    costs = costs_of(Aligned(rows, rotation, measured), _label_column(context), config)
    counts = {"num_common": rows.num_documents, "num_fitted": len(fitted)}
    is_held_out = not np.intersect1d(fitted, measured).size
    _write(context, rotation, costs, counts | {"is_held_out": is_held_out})
    metrics = {name: float(count) for name, count in counts.items()}
    return metrics | _metrics(costs)


def _common_rows(new: Path, old: Path) -> CommonRows:
    first, second = (EmbeddingsDataset(parts_of(folder)) for folder in (new, old))
    if first.dim != second.dim:
        raise RequestError(
            f"align: vectors of {first.dim} numbers cannot be rotated onto vectors of "
            f"{second.dim}: train the new embedder at the old one's width (pretrain.hidden_size)"
        )
    rows = CommonRows.of(first, second)
    if rows.num_documents < 2:
        raise CorpusError(
            f"align: the two datasets have {rows.num_documents} documents in common, it takes 2: "
            "align releases of the same documents"
        )
    return rows


def _parts(rows: CommonRows) -> tuple[Rows, Rows]:
    is_test = rows.splits == "test"
    fitted, measured = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    if min(len(fitted), len(measured)) > 1:
        return fitted, measured
    everything = np.arange(rows.num_documents)
    return everything, everything


def _warn_of_few(context: StageContext, num_fitted: int, blocks: list[Block]) -> None:
    widest = max(end - first for first, end in blocks)
    if num_fitted < widest:
        context.report.warning(
            f"align: {num_fitted} common documents do not determine a rotation of {widest} "
            "numbers: what it says of other documents is partly arbitrary"
        )


def _label_column(context: StageContext) -> str | None:
    return Corpus(context.inputs["ingest"].path).about.label_column


def _write(
    context: StageContext,
    rotation: Mapping[Block, Matrix],
    costs: Costs,
    counts: Mapping[str, Any],
) -> None:
    new, old = context.inputs["export"], context.inputs[OLD_EXPORT]
    sha256 = write_rotation(rotation, context.output)
    about_new, about_old = (read_description(each.path) for each in (new, old))
    said = {
        "embedder_id": f"{about_new['embedder_id']}+{sha256[:32]}",
        "rotation_sha256": sha256,
        "rotated_from": {"export": new.ref.content_id, "embedder": about_new["embedder_id"]},
        "rotated_onto": {"export": old.ref.content_id, "embedder": about_old["embedder_id"]},
        "matryoshka_dims": [end for _, end in sorted(rotation)],
    }
    found = {**counts, "why_no_labels": costs.why_no_labels}
    found["measured"] = {name: asdict(each) for name, each in costs.estimates.items()}
    (context.output / ALIGNMENT).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    rotate = partial(rotated, rotation=rotation)
    for name in write_rotated(new.path, context.output, rotate=rotate, said=said):
        context.report.message(f"aligned {name}")


def _metrics(costs: Costs) -> Metrics:
    metrics: Metrics = {}
    for name, estimate in costs.estimates.items():
        metrics |= {
            name: estimate.value,
            f"{name}_low": estimate.low,
            f"{name}_high": estimate.high,
        }
    return metrics
