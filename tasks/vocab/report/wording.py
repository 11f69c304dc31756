"""Sentences about vocabularies, each with this corpus's own figures."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.report.page import format_number
from tasks.stage import Metrics
from tasks.vocab.report.curve import Curve
from tasks.vocab.report.findings import Findings
from tasks.vocab.report.peers import SAMPLE_SUFFIX, System

ALGORITHMS = {
    "bpe": "BPE",
    "unigram": "Unigram",
    "wordpiece": "WordPiece",
    "words": "rule-based words",
    "given": "the given tokenizer",
}
MAX_UNKNOWN_FRAC = 0.001
SOURCES = {"affix": "the list of affixes", "conllu": "the treebank"}


@dataclass(frozen=True)
class Style:
    """How a measure is shown: its heading, and decimals, or None for a percentage."""

    heading: str
    digits: int | None

    def text(self, value: float) -> str:
        """The value as text."""
        if self.digits is None:
            return percent(value)
        return f"{value:,.0f}" if self.digits == 0 else format_number(value, self.digits)


STYLES = {
    "num_usable_tokens": Style("tokens", 0),
    "bytes_per_token": Style("bytes/token", 3),
    "fertility": Style("tokens/word", 3),
    "pieces_per_word": Style("pieces/word", 3),
    "words_kept_whole_frac": Style("kept whole", None),
    "unknown_word_frac": Style("unknown", None),
    "renyi_efficiency": Style("Rényi", 3),
    "unused_token_frac": Style("never used", None),
    "lossless_frac": Style("restored", None),
}


def percent(value: float) -> str:
    """A share; very small ones with more decimals, so that they do not look like none."""
    if value in (0, 1):
        return f"{value:.0%}"
    return f"{value:.3%}" if value < 0.001 else f"{value:.1%}"


def amount(value: float) -> str:
    """A count, in millions or billions where it is large."""
    if value < 1e6:
        return f"{value:,.0f}"
    return f"{value / 1e6:,.1f} million" if value < 1e9 else f"{value / 1e9:,.1f} billion"


def megabytes(num_bytes: float) -> str:
    """Bytes in the unit that suits them."""
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.1f} kB"


def label(system: System) -> str:
    """What a system is called in tables and figures."""
    if system.is_subject:
        return "this vocabulary"
    algorithm = ALGORITHMS[system.name.removesuffix(SAMPLE_SUFFIX)]
    return f"{algorithm} (sample)" if system.name.endswith(SAMPLE_SUFFIX) else algorithm


def lead(findings: Findings) -> str:
    """The finding, in a few sentences."""
    own = findings.subject.measures
    sentences = [
        f"On text it was not learned from, this vocabulary of "
        f"{own['num_usable_tokens']:,.0f} tokens carries "
        f"{format_number(own['bytes_per_token'], 2)} bytes a token and keeps "
        f"{percent(own['words_kept_whole_frac'])} of words whole.",
        worth(findings),
    ]
    if losing := [s for s in findings.systems if not knows_nearly_all(s)]:
        listed = ", ".join(f"{label(s)} {percent(s.measures['unknown_word_frac'])}" for s in losing)
        sentences.append(f"Words lost as unknown: {listed}.")
    return " ".join(sentences)


def knows_nearly_all(system: System) -> bool:
    """Whether at most one word in a thousand holds something unknown."""
    return system.measures["unknown_word_frac"] <= MAX_UNKNOWN_FRAC


def fairness(findings: Findings) -> list[str]:
    """What the peers learned from, and what is missing."""
    text = megabytes(findings.num_train_bytes)
    if findings.is_whole:
        said = [f"All learned from the same {text}, the whole training text."]
    elif findings.system(findings.algorithm + SAMPLE_SUFFIX) is not None:
        said = [
            f"The peers learned from an even sample of {text} of the training text, this "
            "vocabulary from all of it. The fair comparison with them is therefore its own "
            f"algorithm, learned once more from the sample: {ALGORITHMS[findings.algorithm]} "
            "(sample)."
        ]
    else:
        said = [f"The peers learned from an even sample of {text} of the training text."]
    return said + [
        f"{ALGORITHMS[one.name.removesuffix(SAMPLE_SUFFIX)]} is left out: {one.reason}."
        for one in findings.omitted
    ]


def worth(findings: Findings) -> str:
    """The standing among those that know nearly every word, learned from as much."""
    fair = findings.system(findings.algorithm + SAMPLE_SUFFIX) or findings.subject
    others = [
        system
        for system in findings.systems
        if knows_nearly_all(system) and system not in (fair, findings.subject)
    ]
    own = fair.measures["pieces_per_word"]
    if not others or not knows_nearly_all(fair):
        return f"A word is in {format_number(own, 2)} pieces on average."
    ranked = sorted([fair, *others], key=lambda system: system.measures["pieces_per_word"])
    listed = ", ".join(
        f"{label(s)} {format_number(s.measures['pieces_per_word'], 2)}" for s in ranked
    )
    return f"Pieces a word is cut into, fewest first: {listed}."


def gain(curve: Curve) -> str:
    """What the last doubling of the vocabulary gave."""
    full, half = curve.full, curve.full // 2
    if half < curve.smallest:
        return (
            f"The {full - curve.smallest:,} merges take training text from "
            f"{format_number(curve.train_bytes_per_token(curve.smallest))} to "
            f"{format_number(curve.train_bytes_per_token(full))} bytes a token."
        )
    said = (
        f"Doubling from {half:,} to {full:,} tokens gave {_gained(curve, half, full)} bytes a "
        "token of training text"
    )
    if half // 2 >= curve.smallest:
        said += f", the doubling before {_gained(curve, half // 2, half)}"
    if half in curve.by_size:
        one, other = (curve.by_size[size]["bytes_per_token"] for size in (half, full))
        said += f"; on validation text the last gave {other / one - 1:+.1%}"
    return said + "."


def loss_against_words(findings: Findings) -> list[str]:
    """What merging loses against rule-based words, and what it keeps."""
    fair = findings.system("bpe" + SAMPLE_SUFFIX) or findings.system("bpe")
    by_rule = findings.system("words")
    if fair is None or by_rule is None:
        return ["BPE and rule-based words were not both learned here, so there is no answer."]
    bpe, words = fair.measures, by_rule.measures
    longer = bpe["fertility"] / words["fertility"] - 1
    said = [
        f"Longer sequences: {format_number(bpe['fertility'], 2)} tokens a word against "
        f"{format_number(words['fertility'], 2)}, {longer:+.0%}. An encoder spends that much more "
        "attention, or sees that much less text in a window.",
        f"Words in pieces: {percent(1 - bpe['words_kept_whole_frac'])} of words are more than one "
        "token. Among them are words with punctuation attached, which the rule cuts too: by rule "
        f"{percent(1 - words['words_kept_whole_frac'])} are not one known token.",
    ]
    said += [_boundaries(source, bpe, words) for source in findings.golds]
    said.append(
        f"What it does not lose: {percent(bpe['unknown_word_frac'])} of words hold something "
        f"unknown to BPE, {percent(words['unknown_word_frac'])} by rule; of the validation texts "
        f"{percent(bpe['lossless_frac'])} come back from BPE as they were, "
        f"{percent(words['lossless_frac'])} by rule. An unknown word is lost whatever the encoder."
    )
    return said


def _boundaries(source: str, bpe: Metrics, words: Metrics) -> str:
    merged, ruled = (
        {name: measures.get(f"{source}_boundary_{name}") for name in ("precision", "recall")}
        for measures in (bpe, words)
    )
    return (
        f"Boundaries that mean something, by {SOURCES[source]}: of the cuts inside words, "
        f"{_or_none(merged['precision'])} are right in BPE and {_or_none(ruled['precision'])} by "
        f"rule; of the right boundaries, BPE cuts {_or_none(merged['recall'])} and the rule "
        f"{_or_none(ruled['recall'])}. Merges follow frequency, not grammar."
    )


def _or_none(share: float | None) -> str:
    return "none" if share is None else percent(share)


def _gained(curve: Curve, small: int, large: int) -> str:
    before, after = curve.train_bytes_per_token(small), curve.train_bytes_per_token(large)
    return f"{after / before - 1:+.1%}"


def cut_text(pieces: Iterable[str]) -> str:
    """Tokens with bars between them."""
    return "|".join(visible(piece) for piece in pieces)


def visible(text: str) -> str:
    """White space as signs that can be seen."""
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")
