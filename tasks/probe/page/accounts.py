"""What each measure of the probe report means, in a sentence or two, and where it comes from.

Sections are given where a paper has one on the measure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.report.page import Table


@dataclass(frozen=True)
class Account:
    """A measure for readers.

    Attributes:
        title: its name in words.
        meaning: what it says, and what it cannot say.
        source: the paper and its section.
    """

    title: str
    meaning: str
    source: str


ACCOUNTS: Mapping[str, Account] = {
    "anisotropy": Account(
        "Anisotropy",
        "Mean cosine of two tokens of different types: 0 where states spread evenly over all "
        "directions, 1 where all point one way. Without the dimensions that add most to it, "
        "because a few of them can make all states look alike.",
        "Ethayarajh 2019, section 3.4; without top dimensions: Timkey and van Schijndel 2021",
    ),
    "self_similarity": Account(
        "Self-similarity",
        "Mean cosine of two occurrences of one token, with anisotropy taken off. The lower it is, "
        "the more a layer changes a token by its context; that need not be for the better.",
        "Ethayarajh 2019, sections 3.3 and 3.4",
    ),
    "intra_sentence_similarity": Account(
        "Intra-sentence similarity",
        "Mean cosine of a sentence's tokens with the sentence's mean, with anisotropy taken off: "
        "whether words of one sentence grow alike.",
        "Ethayarajh 2019, sections 3.3 and 3.4",
    ),
    "maximum_explainable_variance": Account(
        "Maximum explainable variance",
        "How much of the states of a word's occurrences one static vector could explain at best: "
        "the first squared singular value's share of all, with that of random tokens taken off. "
        "What is left of 1 is what no Word2Vec can hold.",
        "Ethayarajh 2019, sections 3.3 and 3.4",
    ),
    "effective_rank": Account(
        "Effective rank",
        "Exponential of the entropy of the covariance's eigenvalues as shares: how many "
        "directions the states really use, between 1 and the width. Taken on at most 32 drawn "
        "tokens for each dimension, the same for all layers; fewer tokens make it smaller.",
        "Roy and Vetterli 2007, section 2, applied to the covariance",
    ),
    "cka": Account(
        "Similarity of layers (CKA)",
        "Whether two layers lay the same tokens out alike, whatever turn or scale lies between "
        "them: 1 = the same up to those, about 0 = unrelated. The estimate is the unbiased one, "
        "so that few tokens in many dimensions do not look alike by themselves. Taken on at most "
        "1024 drawn tokens, the same for all layers.",
        "Kornblith et al. 2019, section 3; unbiased terms: Song et al. 2012",
    ),
    "residual_update": Account(
        "Residual update",
        "Length of what a layer changes over the length of what it was given. The last layer's "
        "includes the final norm, so it is not comparable with the others.",
        "He et al. 2016, section 3.1, for the residual form; the ratio is descriptive",
    ),
    "residual_cosine": Account(
        "Direction kept",
        "Cosine of a token's state before and after a layer: 1 where the layer only rescales it.",
        "He et al. 2016, section 3.1, for the residual form; the cosine is descriptive",
    ),
    "masked_loss": Account(
        "Masked-token loss by layer",
        "Loss of the trained head when it reads masked tokens off a lower layer's state, passed "
        "through the final norm. The head was trained on the last layer only, so a high loss "
        "below may be another basis and not missing knowledge.",
        "nostalgebraist 2020, “interpreting GPT: the logit lens”; its bias: Belrose et al. 2023, "
        "section 2",
    ),
    "entropy": Account(
        "Head entropy",
        "Entropy of a token's attention, averaged over tokens: 0 nats for a look at one token, the "
        "logarithm of the length for an even look at all.",
        "Clark et al. 2019, section 3.3",
    ),
    "distance": Account(
        "Head distance",
        "How many tokens away a head looks on average, by its weights.",
        "Vig and Belinkov 2019, on attention distance",
    ),
    "share": Account(
        "Head shares",
        "How much attention goes to the token itself, to the one before, to the one after and to "
        "special tokens. Much on special tokens often means that a head has nothing to do.",
        "Clark et al. 2019, sections 3.1 and 3.2",
    ),
    "ablation_loss": Account(
        "Loss when a head is removed",
        "By how much the masked-token loss rises when one head adds nothing. The only column that "
        "says what the encoder uses; heads that stand in for each other can both look useless.",
        "Michel et al. 2019, section 3",
    ),
    "self_labelled": Account(
        "Self-labelled tasks",
        "Questions whose answers the text itself gives: its length, which word it holds, were two "
        "neighbours exchanged, which of two sentences came first, are two windows from one "
        "document. As many examples of each answer.",
        "Conneau et al. 2018, section 2.2, for length, word content and bigram shift; Lan et al. "
        "2020, section 3.1, for sentence order",
    ),
    "document_label": Account(
        "Document label",
        "Accuracy of a linear map from the mean state of a document's leading tokens to the label "
        "that its column gives. What words alone give away, Word2Vec and the embeddings have too; "
        "always saying the most frequent label is the least one can do.",
        "Alain and Bengio 2016, “Understanding intermediate layers using linear classifier probes”",
    ),
    "upos": Account(
        "Part of speech",
        "Accuracy of a linear map from a word's state to its part of speech.",
        "Liu et al. 2019, “Linguistic knowledge and transferability of contextual "
        "representations”; labels: Universal Dependencies, Nivre et al. 2020",
    ),
    "feats": Account(
        "Features",
        "The same for morphological features such as number, tense or case, over the words that "
        "have them.",
        "Universal Dependencies, Nivre et al. 2020",
    ),
    "deprel": Account(
        "Dependency relation",
        "The same for the relation of a word to its head, told from the word's state alone.",
        "Liu et al. 2019; labels: Universal Dependencies, Nivre et al. 2020",
    ),
    "edge_probe": Account(
        "Head of the word (edge probe)",
        "Whether the states of two words tell that one is the head of the other.",
        "Tenney et al. 2019, “What do you learn from context?”, section 2",
    ),
    "structural_probe": Account(
        "Structural probe",
        "A linear map after which squared distances of words fit their distances in the syntax "
        "tree. UUAS: the share of tree edges in the minimum spanning tree of these distances; "
        "Spearman: correlation of the distances by rank, averaged over sentence lengths.",
        "Hewitt and Manning 2019, section 2, and its metrics of tree distance",
    ),
    "heads_against_relations": Account(
        "Heads against relations",
        "For each relation the share of words whose most attended word is their head in the tree, "
        "beside the best fixed offset. A head that does no better than “the next word” tells "
        "nothing of syntax.",
        "Clark et al. 2019, section 4; Htut et al. 2019",
    ),
    "selectivity": Account(
        "Control tasks and selectivity",
        "The same probe learns a random label for each word type, or labels dealt anew to the "
        "examples. Selectivity is accuracy above that: what it cannot have learned by heart.",
        "Hewitt and Liang 2019, section 2",
    ),
    "codelength": Account(
        "Codelength and compression",
        "Bits needed to send the labels when a probe learns along the way, from ever more of them. "
        "Compression is the evenly coded length over this one: 1 = the states say nothing. It "
        "counts how easily the answer is read, not only how well.",
        "Voita and Titov 2020, section 2",
    ),
    "intervals": Account(
        "Random weights, Word2Vec, intervals",
        "An untrained encoder shows what the architecture gives for free, Word2Vec what words give "
        "without context. Where intervals overlap, two numbers are not told apart here. Order of "
        "abilities by depth lacks conclusive support in the literature.",
        "Zhang and Bowman 2018; on depth: Tenney et al. 2019, “BERT rediscovers the classical NLP "
        "pipeline”, against Niu, Lu and Penn 2022",
    ),
}

_NAMES: tuple[tuple[str, str], ...] = (  # patterns of measures that share an account
    (r"anisotropy.*", "anisotropy"),
    (r"self_similarity.*", "self_similarity"),
    (r"intra_sentence.*", "intra_sentence_similarity"),
    (r"explained_variance.*", "maximum_explainable_variance"),
    (r"cka_.*", "cka"),
    (r"masked_.*", "masked_loss"),
    (r"share_.*", "share"),
    (r"ablation.*", "ablation_loss"),
    (r"(bigram_shift|same_document|sentence_length|sentence_order|word_content)_.*",
     "self_labelled"),
    (r"document_label_.*", "document_label"),
    (r"upos.*", "upos"),
    (r"feature_.*", "feats"),
    (r"deprel.*", "deprel"),
    (r"head_found_.*", "edge_probe"),
    (r"tree_.*", "structural_probe"),
    (r"relation_.*", "heads_against_relations"),
)  # fmt: skip
_SYSTEMS = re.compile(r"(random|control|word2vec|unigram|offset|chain|majority)_")
_GUARDS = ((r".*selectivity.*", "selectivity"), (r".*_(compression|gain)", "codelength"))


def account_of(measure: str) -> str | None:
    """The key in `ACCOUNTS` for a measure's name in the tables, whichever system it is of.

    None where none is written yet.
    """
    name = measure
    while match := _SYSTEMS.match(name):
        name = name[match.end() :]
    if name in ACCOUNTS:
        return name
    patterns = (*_GUARDS, *_NAMES)
    return next((key for pattern, key in patterns if re.fullmatch(pattern, name)), None)


def account_table(measures: Iterable[str]) -> Table:
    """A table of the accounts that a page's measures need, in the order of `ACCOUNTS`.

    Args:
        measures: names of measures, or keys of `ACCOUNTS`; the account of the guards is always in.
    """
    named = list(measures)
    wanted = {account_of(measure) for measure in named} | {"intervals"}
    if any(measure.startswith("control_") for measure in named):
        wanted.add("selectivity")
    rows = [[one.title, one.meaning, one.source] for key, one in ACCOUNTS.items() if key in wanted]
    return Table(
        says="What each measure means, and where it comes from",
        columns=["measure", "meaning", "source"],
        rows=rows,
        num_label_columns=3,
        wraps=True,
    )
