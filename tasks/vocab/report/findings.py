"""Everything there is to say about a vocabulary, before it is put into words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from model.bpe.tokenizer import SPECIAL_TOKENS
from model.errors import CorpusError
from tasks.corpus import Corpus
from tasks.stage import Metrics
from tasks.token_names import steps
from tasks.vocab.config import VocabConfig
from tasks.vocab.report.affixes import affix_gold, read_affixes
from tasks.vocab.report.boundaries import Gold, agreement
from tasks.vocab.report.curve import Curve, measure_curve
from tasks.vocab.report.doubtful import Doubt, find_doubts, repeated_entries
from tasks.vocab.report.examples import MergeTables, show_examples, show_first_merges
from tasks.vocab.report.measures import Reading, Sample, lossless_frac, measure, read
from tasks.vocab.report.naive import Pitfall, find_pitfalls
from tasks.vocab.report.naive_text import find_text_pitfalls
from tasks.vocab.report.peers import Omitted, System, learn_peers
from tasks.vocab.report.sample import sample_texts
from tasks.vocab.report.treebank import conllu_gold
from tasks.vocab.vocabulary import Vocabulary

VALIDATION_BYTES = 2**20
Golds = Mapping[str, Gold]


@dataclass(frozen=True, eq=False)
class Merging:
    """What can be said only of a vocabulary that was learned by merging.

    Attributes:
        curve: measures over vocabulary sizes.
        first_merges: as in `merges.txt`.
        examples: frequent words and their cuts after some and all merges.
        pitfalls: what a naive implementation would get wrong on this corpus.
        num_broken_entries: tokens that are no whole characters.
        num_repeated_entries: tokens that repeat another but for case or white space around.
    """

    curve: Curve
    first_merges: list[str]
    examples: list[dict[str, Any]]
    pitfalls: list[Pitfall]
    num_broken_entries: int
    num_repeated_entries: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """What was found.

    Attributes:
        algorithm: of the vocabulary.
        config: the stage's settings.
        sample: the validation text.
        counts: of the run: merges, rounds and the like.
        systems: the vocabulary itself first, then its peers.
        omitted: peers that could not be learned.
        num_train_bytes: text that the peers learned from.
        is_whole: whether that is all the training text.
        golds: right boundaries, by where they come from: affix or conllu.
        doubts: where cuts look bad.
        merging: None where nothing was merged.
    """

    algorithm: str
    config: VocabConfig
    sample: Sample
    counts: Metrics
    systems: list[System]
    omitted: list[Omitted]
    num_train_bytes: int
    is_whole: bool
    golds: Golds
    doubts: list[Doubt]
    merging: Merging | None = field(default=None)

    @property
    def subject(self) -> System:
        """The vocabulary that the report is about."""
        return self.systems[0]

    def system(self, name: str) -> System | None:
        """The peer of that name, if it could be learned."""
        return next((one for one in self.systems if one.name == name), None)


def find(vocabulary: Vocabulary, corpus: Corpus, config: VocabConfig) -> Findings:
    """Measure a vocabulary and its peers.

    Raises:
        CorpusError: the validation split has no words, or a given file says nothing.
        RequestError: a given file cannot be read.
    """
    sample = _validation(corpus)
    golds = _golds(sample, config)
    tokenizer = Tokenizer.from_str(vocabulary.definition)
    reading = read(tokenizer, sample)
    train = sample_texts(corpus, "train", config.peer_bytes)
    num_bytes = sum(len(text.encode()) for text in train)
    is_whole = num_bytes >= corpus.about.num_text_bytes["train"]
    size = len(reading.usable) + len(SPECIAL_TOKENS) - (reading.unknown_id is not None)
    subject = System(
        name=vocabulary.algorithm,
        is_subject=True,
        num_train_bytes=_subject_bytes(vocabulary, corpus),
        measures=_measures(tokenizer, reading, golds),
    )
    systems, omitted = [subject], []
    for peer in learn_peers(vocabulary, train, config, vocab_size=size, is_whole=is_whole):
        if isinstance(peer, Omitted):
            omitted.append(peer)
        else:
            systems.append(_measured(*peer, num_bytes, sample, golds))
    return Findings(
        algorithm=vocabulary.algorithm,
        config=config,
        sample=sample,
        counts=_counts(vocabulary, reading),
        systems=systems,
        omitted=omitted,
        num_train_bytes=num_bytes,
        is_whole=is_whole,
        golds=golds,
        doubts=find_doubts(reading, is_byte_level=_is_byte_level(vocabulary.definition)),
        merging=_merging(vocabulary, sample, config, subject.measures),
    )


def _validation(corpus: Corpus) -> Sample:
    sample = Sample(sample_texts(corpus, "validation", VALIDATION_BYTES))
    if not len(sample.words):
        raise CorpusError(
            "the corpus has no validation text to measure the vocabulary on: add documents, or "
            "name some of them `validation` in ingest.split_column"
        )
    return sample


def _golds(sample: Sample, config: VocabConfig) -> dict[str, Gold]:
    golds: dict[str, Gold] = {}
    if config.affixes is not None:
        golds["affix"] = affix_gold(read_affixes(config.affixes), sample)
    if config.conllu is not None:
        golds["conllu"] = conllu_gold(config.conllu, VALIDATION_BYTES)
    return golds


def _measured(
    name: str, tokenizer: Tokenizer, num_train_bytes: int, sample: Sample, golds: Golds
) -> System:
    measures = _measures(tokenizer, read(tokenizer, sample), golds)
    return System(name, False, num_train_bytes, measures)


def _measures(tokenizer: Tokenizer, reading: Reading, golds: Golds) -> Metrics:
    measured = measure(reading) | {"lossless_frac": lossless_frac(tokenizer, reading)}
    for source, gold in golds.items():
        own = reading if gold.sample is reading.sample else read(tokenizer, gold.sample)
        for name, value in agreement(own, gold).items():
            measured[f"{source}_boundary_{name}"] = value
    return measured


def _subject_bytes(vocabulary: Vocabulary, corpus: Corpus) -> int | None:
    return None if vocabulary.algorithm == "given" else corpus.about.num_text_bytes["train"]


def _counts(vocabulary: Vocabulary, reading: Reading) -> Metrics:
    """Numbers of the run, under the names that the tracker knows."""
    words, learned = vocabulary.words, vocabulary.learned
    if words is None or learned is None:
        return {}
    counts = {
        "num_merges": float(len(learned.merges)),
        "num_rounds": float(learned.num_rounds),
        "num_distinct_pretokens": float(len(words)),
    }
    if learned.alphabet.is_bytes:
        first = len(SPECIAL_TOKENS)
        ids = reading.ids_T
        is_byte = (ids >= first) & (ids < first + len(learned.alphabet))
        counts["single_byte_frac"] = float(is_byte.mean())
    return counts


def _merging(
    vocabulary: Vocabulary, sample: Sample, config: VocabConfig, measures: Metrics
) -> Merging | None:
    words, learned = vocabulary.words, vocabulary.learned
    if words is None or learned is None:
        return None
    tables = MergeTables(learned)
    return Merging(
        curve=measure_curve(words, learned, sample, config.pattern, measures),
        first_merges=show_first_merges(learned),
        examples=show_examples(words, tables),
        pitfalls=find_pitfalls(words, tables) + find_text_pitfalls(words, sample, config),
        num_broken_entries=sum("\ufffd" in one.decode(errors="replace") for one in tables.spelling),
        num_repeated_entries=repeated_entries(tables.spelling),
    )


def _is_byte_level(definition: str) -> bool:
    parts = json.loads(definition)
    every = [step for name in ("pre_tokenizer", "decoder") for step in steps(parts[name])]
    fallback = parts["model"].get("byte_fallback") or False
    return fallback or any(step["type"] == "ByteLevel" for step in every)
