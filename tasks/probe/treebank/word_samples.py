"""Words of a treebank that probes are fitted and scored on: drawn by document, with their labels.

Letters: W words of all sentences, A sentences.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.errors import CorpusError
from tasks.probe.treebank.conllu import UNSPECIFIED, Sentence, feature_pairs
from tasks.probe.treebank.reading import SETTING, SPLITS, Treebank, TreebankSentence
from tasks.probe.treebank.word_tokens import Aligned, align

UPOS, DEPREL = "upos", "deprel"
FEATURE = "feature_"
_MAXFEATURES = 3
_LEAST_OF_CLASS = 10  # words of a class that is worth telling apart, in the fitting part
_LEAST_DOCUMENTS = 40  # that words come from, where there are so many
NO_CLASS = -1

Labels = list[str]


@dataclass(frozen=True)
class WordSample:
    """Sentences that an encoder reads whole, each with a tree.

    Attributes:
        sentences: A of them.
        aligned: their tokens.
        document_A: int64, the document of each.
    """

    sentences: list[Sentence]
    aligned: Aligned
    document_A: Tensor

    @property
    def length_A(self) -> Tensor:
        """Words of each sentence, int64."""
        return torch.tensor([len(one.forms) for one in self.sentences])

    @property
    def document_W(self) -> Tensor:
        """The document of each word, int64."""
        return self.document_A.repeat_interleave(self.length_A)

    @property
    def head_W(self) -> Tensor:
        """The number of each word's head in its sentence, from 1; 0 for roots. int64."""
        return torch.tensor([*chain.from_iterable(one.heads for one in self.sentences)])

    @property
    def is_punctuation_W(self) -> Tensor:
        """Whether the treebank says of a word that it is punctuation, bool."""
        words = chain.from_iterable(one.upos for one in self.sentences)
        return torch.tensor([upos == "PUNCT" for upos in words])

    @property
    def forms(self) -> list[str]:
        """The words, without their case: their types."""
        return [form.casefold() for one in self.sentences for form in one.forms]

    def labels(self, task: str) -> Labels:
        """What the treebank says of each word; ``_`` where it says nothing."""
        if task == UPOS:
            return [*chain.from_iterable(one.upos for one in self.sentences)]
        if task == DEPREL:  # without what languages add to a relation
            return [each.partition(":")[0] for one in self.sentences for each in one.deprel]
        wanted = task.removeprefix(FEATURE)
        return [
            dict(feature_pairs(feats)).get(wanted, UNSPECIFIED)
            for one in self.sentences
            for feats in one.feats
        ]


def draw_words(
    treebank: Treebank, tokenizer: Tokenizer, *, num_words: int, max_tokens: int, seed: int
) -> dict[str, WordSample]:
    """Sentences of each split until they hold enough words, from many documents.

    Documents come in an order drawn from the seed; each gives its first sentences before any gives
    more, so that intervals over documents have enough of them.

    Args:
        treebank: sentences without a tree are passed over.
        tokenizer: the encoder's.
        num_words: of train; half as many of the other splits.
        max_tokens: longest sequence the encoder reads; longer sentences are left out.
        seed: of the draw.

    Raises:
        CorpusError: a split has no sentence with a tree that the encoder reads whole.
    """
    counts = {split: num_words if split == "train" else num_words // 2 for split in SPLITS}
    samples = {
        split: _sample(
            _drawn(treebank.sentences[split], counts[split], seed), tokenizer, max_tokens
        )
        for split in SPLITS
    }
    for split, sample in samples.items():
        if not sample.sentences:
            raise CorpusError(
                f"{SETTING}: no sentence of {split} has heads and at most {max_tokens - 2} tokens; "
                "give a treebank with trees, or an encoder that reads longer rows "
                "(tokenize.row_tokens)"
            )
    return samples


def tasks_of(samples: Mapping[str, WordSample]) -> list[str]:
    """What can be asked of the words: part of speech, relation, and the most frequent features.

    Only what has two classes or more in the fitting part.
    """
    train = samples["train"]
    named = Counter(
        name for one in train.sentences for feats in one.feats for name, _ in feature_pairs(feats)
    )
    features = [
        FEATURE + name for name, _ in sorted(named.items(), key=lambda one: (-one[1], one[0]))
    ]
    wanted = [UPOS, DEPREL, *(each for each in features if len(classes_of(train, each)) > 1)]
    return [task for task in wanted[: 2 + _MAXFEATURES] if len(classes_of(train, task)) > 1]


def classes_of(sample: WordSample, task: str) -> list[str]:
    """The classes that enough words have, in order of the alphabet."""
    counts = Counter(sample.labels(task))
    return sorted(
        name for name, count in counts.items() if name != UNSPECIFIED and count >= _LEAST_OF_CLASS
    )


def classes_W(sample: WordSample, task: str, classes: Sequence[str]) -> Tensor:
    """The number of each word's class, int64; `NO_CLASS` where it has none of these."""
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number.get(label, NO_CLASS) for label in sample.labels(task)])


def types_W(samples: Mapping[str, WordSample]) -> tuple[dict[str, Tensor], int]:
    """The number of each word's type, the same in all splits, and how many types there are."""
    forms = sorted({form for sample in samples.values() for form in sample.forms})
    number = {form: index for index, form in enumerate(forms)}
    numbered = {
        split: torch.tensor([number[form] for form in sample.forms])
        for split, sample in samples.items()
    }
    return numbered, len(forms)


def _drawn(
    sentences: Sequence[TreebankSentence], num_words: int, seed: int
) -> list[TreebankSentence]:
    with_trees = [one for one in sentences if one.sentence.heads]
    documents = sorted({one.document for one in with_trees})
    place = {
        documents[index]: rank
        for rank, index in enumerate(np.random.default_rng(seed).permutation(len(documents)))
    }
    seen: Counter[int] = Counter()
    turns = []
    for one in with_trees:
        turns.append(seen[one.document] // max(1, num_words // _LEAST_DOCUMENTS))
        seen[one.document] += len(one.sentence.forms)
    order = sorted(
        range(len(with_trees)), key=lambda at: (turns[at], place[with_trees[at].document])
    )
    drawn: list[int] = []
    for at in order:
        if num_words <= 0:
            break
        drawn.append(at)
        num_words -= len(with_trees[at].sentence.forms)
    return [with_trees[at] for at in sorted(drawn)]


def _sample(drawn: Sequence[TreebankSentence], tokenizer: Tokenizer, max_tokens: int) -> WordSample:
    aligned = align(tokenizer, [one.sentence for one in drawn], max_tokens=max_tokens)
    kept = [drawn[place] for place in aligned.kept_S]
    documents = torch.tensor([one.document for one in kept], dtype=torch.int64)
    return WordSample([one.sentence for one in kept], aligned, documents)
