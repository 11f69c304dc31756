"""What each pitfall of a naive implementation is called, and the sentence its figures make."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.vocab.report.naive import (
    LONG_WORD_BYTES,
    NUM_FIRST_PAIRS,
    Figures,
    Pitfall,
)
from tasks.vocab.report.wording import amount, megabytes, percent


@dataclass(frozen=True)
class Wording:
    """How a pitfall is told.

    Attributes:
        title: a few words.
        sentence: made of its figures.
        columns: headings of its examples, if they are shown.
    """

    title: str
    sentence: Callable[[Figures], str]
    columns: tuple[str, ...] = ()


def tell(pitfall: Pitfall) -> str:
    """One paragraph: title and sentence."""
    wording = WORDINGS[pitfall.name]
    return f"{wording.title}. {wording.sentence(pitfall.figures)}"


def _recounting(f: Figures) -> str:
    if not f["num_rounds"]:
        return "Nothing was merged here, so nothing was counted again."
    times = f["text_visits"] / f["text_tokens"]
    return (
        f"Counting all pairs anew in each of {f['num_rounds']:,.0f} rounds visits "
        f"{amount(f['text_visits'])} tokens of running text, {amount(times)} times the "
        f"{amount(f['text_tokens'])} there are. Over distinct words it is between "
        f"{amount(f['least_word_visits'])} and {amount(f['most_word_visits'])} symbols; a learner "
        "that keeps its counts up to date begins with "
        f"{amount(f['word_symbols'])} and visits only what a merge changes."
    )


def _overlaps(f: Figures) -> str:
    if not f["num_counted"]:
        return "No symbol stands twice in a row here."
    over = f["num_counted"] / f["num_possible"] - 1
    return (
        f"In runs such as aaa the pair (a, a) is counted at every place, though places overlap: "
        f"{amount(f['num_counted'])} times, where {amount(f['num_possible'])} merges are possible, "
        f"{over:+.1%}. Hugging Face and this learner count so too; what goes wrong is to take "
        "the count for the merges that will happen when counts are kept up to date. (In "
        f"{megabytes(f['num_word_bytes'])} of distinct words, the most frequent first.)"
    )


def _competing(f: Figures) -> str:
    return (
        f"Of the {f['num_pairs']:,.0f} most frequent first pairs, {f['num_competing']:,.0f} want "
        "a symbol that a more frequent one also wants, as (b, c) wants that of (a, b). Merging the "
        f"top {NUM_FIRST_PAIRS} in one round as they are makes the result depend on their order "
        "and leaves entries that no longer occur."
    )


def _replacement(f: Figures) -> str:
    return (
        "Merging a and b by replacing text, in words written with spaces between symbols, also "
        "joins where a longer symbol ends in a or begins with b. Replaying the first "
        f"{f['num_merges']:,.0f} merges on the {f['num_words']:,.0f} most frequent words so cuts "
        f"{f['num_different']:,.0f} of them otherwise, {percent(f['different_frac'])} of their "
        "occurrences."
    )


def _ties(f: Figures) -> str:
    share = f["num_tied"] / f["num_merges"] if f["num_merges"] else 0.0
    return (
        f"{f['num_tied']:,.0f} of {f['num_merges']:,.0f} merges ({percent(share)}) are exactly as "
        "frequent as the next one. Without a rule their order, and so the ids, follow a hash map "
        "or the order of files."
    )


def _overflow(f: Figures) -> str:
    if "wraps_at_gb" not in f:
        return "Nothing was merged here, so there is no largest count."
    return (
        f"The most frequent pair stands {amount(f['largest_frequency'])} times. Counted in 32 "
        f"bits it wraps in a corpus like this of {f['wraps_at_gb']:,.1f} GB, and the most frequent "
        "pair, its count now negative, is never merged."
    )


def _long_words(f: Figures) -> str:
    number = (
        f"{f['num_long']:,.0f} distinct ones, {percent(f['long_frac'])} of all,"
        if f["num_long"]
        else "none"
    )
    return (
        f"The longest pretoken has {f['longest_bytes']:,.0f} bytes; {number} of more than "
        f"{LONG_WORD_BYTES:,}. A learner that scans a word again for every merge in it takes "
        "quadratic time on such words."
    )


def _intermediate(f: Figures) -> str:
    share = f["num_unused"] / f["num_merges"] if f["num_merges"] else 0.0
    return (
        f"{f['num_unused']:,.0f} merged tokens ({percent(share)}) are steps on the way to longer "
        "ones: no training word is made of them in the end. This is part of the algorithm, not of "
        "a naive implementation alone; their embeddings are hardly ever trained."
    )


def _unseen(f: Figures) -> str:
    return (
        f"{f['num_words']:,.0f} validation words ({percent(f['word_frac'])}) hold one of "
        f"{f['num_characters']:,.0f} characters that the counted training words do not have. A "
        "vocabulary of characters makes these [UNK]; one of bytes does not."
    )


def _white_space(f: Figures) -> str:
    return (
        "Cutting at white space and joining words by single spaces, as an end-of-word mark "
        f"decodes, changes {f['num_changed']:,.0f} validation texts "
        f"({percent(f['changed_frac'])})."
    )


def _other_cuts(f: Figures) -> str:
    return (
        f"Counting line by line instead of whole documents, {f['num_lost_by_line']:,.0f} of "
        f"{f['num_pretokens']:,.0f} pretokens ({percent(f['lost_by_line_frac'])}) come out "
        "otherwise, because the pattern also matches across line ends. Cut at white space alone, "
        f"there are {f['num_distinct_by_white_space']:,.0f} distinct words in place of "
        f"{f['num_distinct']:,.0f}, since punctuation sticks to them. (Validation sample.)"
    )


WORDINGS = {
    "recounting": Wording("Recounting", _recounting),
    "string_replacement": Wording(
        "Replacing text", _replacement, ("word", "by symbols", "by replacing text")
    ),
    "overlaps": Wording("Overlaps", _overlaps, ("pair", "counted", "possible")),
    "competing_pairs": Wording("Several merges a round", _competing),
    "ties": Wording("Ties", _ties),
    "overflow": Wording("Overflow", _overflow),
    "long_words": Wording("Long words", _long_words),
    "other_cuts": Wording("The rule that cuts text", _other_cuts),
    "unseen_characters": Wording("Unseen characters", _unseen),
    "lost_white_space": Wording("Lost white space", _white_space),
    "intermediate_tokens": Wording("Intermediate tokens", _intermediate, ("token", "merge number")),
}
