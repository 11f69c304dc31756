"""Which attention head follows which relation of a treebank, beside the best fixed offset.

Letters: W words, H heads of all layers side by side, R relations, G groups of documents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention_relations import best_for_relations, relation_sums, relations_right
from model.attention_relations import word_attention as between_words
from model.fixed_offsets import offsets, offsets_right
from model.intervals import Interval, jackknife_interval
from tasks.probe.observe import Observable
from tasks.probe.ratios import MAX_GROUPS
from tasks.probe.table import Row, row_of_interval
from tasks.probe.treebank.word_samples import DEPREL, WordSample, classes_of, classes_W
from tasks.probe.treebank.word_states import sentence_attention

MAX_RELATIONS = 15
_LEAST_WORDS = 20  # of a relation in the part that is scored
_ROOT = "root"


@dataclass(frozen=True, kw_only=True)
class HeadRelation:
    """The head that follows a relation best, chosen on train and scored on test.

    Attributes:
        relation: its name.
        num_words: of test that have it.
        layer: from 1.
        head: from 0.
        to_head: whether it looks from the word to its head; else from the head to the word.
        share: of the words whose other end is looked at most.
        offset: the best fixed distance to the head, in words.
        offset_share: of the words that it is right for.
    """

    relation: str
    num_words: int
    layer: int
    head: int
    to_head: bool
    share: Interval
    offset: int
    offset_share: Interval

    @property
    def is_beyond_offset(self) -> bool:
        """Whether the head is above the offset beyond the intervals."""
        return bool(self.share.low > self.offset_share.high)


def head_relations(
    encoder: Observable, samples: Mapping[str, WordSample]
) -> tuple[list[Row], list[HeadRelation]]:
    """Rows of every head and relation on test, and the best head of each relation; none where no
    relation is frequent enough, or test is one document.

    Rows `relation_<name>_to_head` and `relation_<name>_to_dependent`: the share of the words of
    that relation for which the head's strongest attention to another word goes along it.

    Source: Clark et al. 2019, section 4.2.
    """
    names = _relations(samples)
    if not names or len(set(samples["test"].document_A.tolist())) < 2:
        return [], []
    num_heads = encoder.config.num_heads
    right = {split: _right(encoder, samples[split]) for split in ("train", "test")}
    sums = {split: _sums(right[split], samples[split], names) for split in right}
    shares = jackknife_interval(torch.div, sums["test"]).within(0.0, 1.0)
    offset = {
        split: _sums(offsets_right(one.head_W, one.length_A), one, names)
        for split, one in samples.items()
        if split in right
    }
    offset_shares = jackknife_interval(torch.div, offset["test"]).within(0.0, 1.0)
    rows = [
        row_of_interval(
            shares.at(number).at(place),
            measure=f"relation_{name}_{direction}",
            layer=layer + 1,
            head=head,
            split="test",
        )
        for number, name in enumerate(names)
        for layer, direction, head, place in _places(len(shares.value[number]), num_heads)
    ]
    best_R = best_for_relations(sums["train"][0].sum(0))
    best_offset_R = best_for_relations(offset["train"][0].sum(0))
    places = _places(shares.value.shape[1], num_heads)
    num_words_R = sums["test"][1].sum(0)[:, 0]
    found = []
    for number, name in enumerate(names):
        layer, direction, head, place = places[int(best_R[number])]
        column = int(best_offset_R[number])
        found.append(
            HeadRelation(
                relation=name,
                num_words=int(num_words_R[number]),
                layer=layer + 1,
                head=head,
                to_head=direction == "to_head",
                share=shares.at(number).at(place),
                offset=int(offsets()[column]),
                offset_share=offset_shares.at(number).at(column),
            )
        )
    return rows, found


def _relations(samples: Mapping[str, WordSample]) -> list[str]:
    """The most frequent relations that train and test have enough words of."""
    tested = samples["test"].labels(DEPREL)
    known = [
        (tested.count(name), name)
        for name in classes_of(samples["train"], DEPREL)
        if name != _ROOT and tested.count(name) >= _LEAST_WORDS
    ]
    return [name for _, name in sorted(known, key=lambda one: (-one[0], one[1]))][:MAX_RELATIONS]


@torch.inference_mode()
def _right(encoder: Observable, sample: WordSample) -> Tensor:
    """Whether each head looks along each word's relation, in both directions: bool [W, H]."""
    by_sentence: dict[int, list[Tensor]] = {}
    for one in sentence_attention(encoder, sample.aligned):
        heads = torch.tensor(sample.sentences[one.sentence].heads, device=one.attention_HLL.device)
        mixed_1HWW = between_words(one.attention_HLL[None], one.is_part_WL[None])
        is_word_1W = torch.ones(1, len(heads), dtype=torch.bool, device=heads.device)
        ways = relations_right(mixed_1HWW, heads[None], is_word_1W)
        by_sentence.setdefault(one.sentence, []).append(torch.cat(ways, dim=1).cpu())
    return torch.cat(
        [torch.cat(by_sentence[number], dim=1) for number in range(len(sample.sentences))]
    )


def _sums(right_WX: Tensor, sample: WordSample, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    relation_W = classes_W(sample, DEPREL, names)
    asked_W = relation_W >= 0
    _, own_W = torch.unique(sample.document_W, return_inverse=True)
    num_groups = min(MAX_GROUPS, int(own_W.max()) + 1)
    return relation_sums(
        right_WX[asked_W],
        sample.head_W[asked_W],
        relation_W[asked_W],
        own_W[asked_W] % num_groups,
        num_relations=len(names),
        num_groups=num_groups,
    )


def _places(num_columns: int, num_heads: int) -> list[tuple[int, str, int, int]]:
    """Layer from 0, direction and head of each column: by layer, then direction, then head."""
    return [
        (
            column // (2 * num_heads),
            "to_head" if column // num_heads % 2 == 0 else "to_dependent",
            column % num_heads,
            column,
        )
        for column in range(num_columns)
    ]
