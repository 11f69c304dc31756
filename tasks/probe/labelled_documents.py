"""Documents with their label of the corpus's label column, matched by id and drawn by seed.

Letters: E documents.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tasks.corpus import Corpus
from tasks.labels import label_of, why_not_learnable
from tasks.probe.sample import Tokens

SPLITS = ("train", "validation", "test")
MIN_DOCUMENTS = 20  # of a split; fewer can all be right by luck, and then have no interval

Names = Callable[[str, Sequence[int]], list[str]]
"""The ids of a split's documents at some places, as `TokenizedCorpus.document_ids`."""
Drawn = list[tuple[int, str]]  # places in a split and labels, by place


@dataclass(frozen=True)
class LabelledDocuments:
    """What is read of a split's documents.

    Attributes:
        tokens: leading tokens of each, no special tokens; none is empty.
        labels_E: int64, the class of each.
        document_E: int64, the place of each in its split, rising.
    """

    tokens: list[Tokens]
    labels_E: Tensor
    document_E: Tensor


@dataclass(frozen=True)
class LabelSample:
    """One seed's documents.

    Attributes:
        splits: those of train, validation and test.
        num_classes: labels that train's documents have.
        num_unknown: documents drawn of validation and test and left out, as none of train's has
            their label.
        num_cut: documents that are longer than what is read of them.
    """

    splits: Mapping[str, LabelledDocuments]
    num_classes: int
    num_unknown: int
    num_cut: int


@dataclass(frozen=True)
class LeftOut:
    """Why a label column is not asked about; names the column, and no label."""

    reason: str


def draw_labelled(
    corpus: Corpus,
    documents: Mapping[str, Sequence[Tokens]],
    names: Names,
    *,
    num_documents: int,
    max_tokens: int,
    seeds: Sequence[int],
) -> dict[int, LabelSample] | LeftOut | None:
    """Each seed's labelled documents; why there are none; None: the corpus has no label column.

    Labels are found by document id, whatever the order of the tokens. Documents without a label
    or without a token are not drawn. Numbers of documents are judged seed by seed.

    Args:
        corpus: has the labels.
        documents: token ids by split, without special tokens.
        names: ids of these documents.
        num_documents: of train; half as many each of validation and test.
        max_tokens: leading tokens that are read of each.
        seeds: of the draws.

    Raises:
        ArtifactError: the corpus is damaged, or the tokens do not name their documents.

    Cost: one pass over ids and labels of the corpus, which are all held, about 200 bytes a
    labelled document.
    """
    column = corpus.about.label_column
    if column is None:
        return None
    labels = _labels_by_id(corpus, column)
    found = {}
    for seed in seeds:
        drawn = {
            split: _draw(
                documents[split],
                partial(names, split),
                labels[split],
                num_documents if split == "train" else num_documents // 2,
                np.random.default_rng([seed, number]),
            )
            for number, split in enumerate(SPLITS)
        }
        reason = why_not_learnable([label for _, label in drawn["train"]], column)
        if reason is not None:
            return LeftOut(reason)
        found[seed] = _sample(drawn, documents, max_tokens)
        for split, own in found[seed].splits.items():
            if len(own.tokens) < MIN_DOCUMENTS:
                return LeftOut(
                    f"{len(own.tokens)} documents of {split} have a value in {column} that can be "
                    f"learned from train, the probe needs {MIN_DOCUMENTS}"
                )
    return found


def _labels_by_id(corpus: Corpus, column: str) -> dict[str, dict[str, str]]:
    """Of each split the labels by document id; equal labels are one string in memory."""
    labels: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    known: dict[str, str] = {}
    for batch in corpus.batches(["doc_id", "split", column]):
        columns = (batch.column(name).to_pylist() for name in ("doc_id", "split", column))
        for doc_id, split, value in zip(*columns, strict=True):
            label = label_of(value)
            if label is not None:
                labels[split][doc_id] = known.setdefault(label, label)
    return labels


def _draw(
    documents: Sequence[Tokens],
    names: Callable[[Sequence[int]], list[str]],
    labels: Mapping[str, str],
    num_documents: int,
    generator: np.random.Generator,
) -> Drawn:
    found: Drawn = []
    for place, doc_id in _in_random_order(len(documents), names, num_documents, generator):
        label = labels.get(doc_id)
        if label is not None and len(documents[place]):
            found.append((place, label))
        if len(found) == num_documents:
            break
    return sorted(found)


def _in_random_order(
    num_documents: int,
    names: Callable[[Sequence[int]], list[str]],
    num_at_once: int,
    generator: np.random.Generator,
) -> Iterator[tuple[int, str]]:
    """Places and ids; ids are asked for when their turn comes, several at a time."""
    order = generator.permutation(num_documents)
    for start in range(0, num_documents, num_at_once):
        places = order[start : start + num_at_once].tolist()
        yield from zip(places, names(places), strict=True)


def _sample(
    drawn: Mapping[str, Drawn], documents: Mapping[str, Sequence[Tokens]], max_tokens: int
) -> LabelSample:
    """Classes are those of train; others are nobody's to learn."""
    numbers = {
        label: number for number, label in enumerate(sorted({one for _, one in drawn["train"]}))
    }
    kept = {split: [one for one in own if one[1] in numbers] for split, own in drawn.items()}
    splits = {
        split: LabelledDocuments(
            [documents[split][place][:max_tokens] for place, _ in own],
            torch.tensor([numbers[label] for _, label in own], dtype=torch.int64),
            torch.tensor([place for place, _ in own], dtype=torch.int64),
        )
        for split, own in kept.items()
    }
    num_cut = sum(
        len(documents[split][place]) > max_tokens for split, own in kept.items() for place, _ in own
    )
    num_unknown = sum(len(drawn[split]) - len(kept[split]) for split in drawn)
    return LabelSample(splits, len(numbers), num_unknown, num_cut)
