"""Where cuts look bad: rules that know no language point at examples, and some are false alarms.

Each rule looks at runs of letters in the validation sample. A form is a run as it is written,
after a blank or not; it is frequent when it makes up one in 20,000 runs, and two at least.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.bpe.tokenizer import END_OF_WORD
from tasks.vocab.report.boundaries import LETTERS
from tasks.vocab.report.examples import NUM_EXAMPLES
from tasks.vocab.report.measures import Reading, Spans

FREQUENT_FRAC = 1 / 20_000
MIN_LETTERS = 4
MIN_STEM_LETTERS = 3
MAX_ENDING_LETTERS = 4
RULES = ("many_pieces", "inside_characters", "not_after_the_word", "same_word")


@dataclass(frozen=True)
class Doubt:
    """What one rule found.

    Attributes:
        rule: one of `RULES`.
        num_found: how many.
        num_looked_at: out of how many.
        examples: up to ten, as JSON values.
    """

    rule: str
    num_found: int
    num_looked_at: int
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class Form:
    """A run of letters as it is written.

    Attributes:
        word: the letters.
        after_blank: whether a blank stands before it.
        count: times in the sample.
        token_ids: its tokens.
        pieces: the text of each token, which may take in what stands around the word.
        cuts: where, counted in characters of the word, one token ends and the next begins.
        is_whole: one token covers it, and nothing else but white space.
    """

    word: str
    after_blank: bool
    count: int
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]
    cuts: frozenset[int]
    is_whole: bool

    @property
    def inner_cuts(self) -> frozenset[int]:
        """The cuts inside the word."""
        return frozenset(cut for cut in self.cuts if 0 < cut < len(self.word))


def find_doubts(reading: Reading, *, is_byte_level: bool) -> list[Doubt]:
    """What every rule finds; cuts inside characters only where tokens are made of bytes."""
    forms = frequent_forms(reading)
    doubts = [many_pieces(forms), not_after_the_word(forms), same_word(forms)]
    if is_byte_level:
        doubts.insert(1, inside_characters(reading))
    return doubts


def frequent_forms(reading: Reading) -> list[Form]:
    """The frequent forms, most frequent first; each as it is cut where it stands first."""
    joined = reading.sample.joined
    spans = Spans.of_matches(LETTERS.finditer(joined))
    found: dict[tuple[str, bool], list[int]] = {}
    for index, (begin, end) in enumerate(
        zip(spans.begins.tolist(), spans.ends.tolist(), strict=True)
    ):
        key = (joined[begin:end], joined[begin - 1 : begin] == " ")
        found.setdefault(key, [0, index])[0] += 1
    cut = reading.cut(spans)
    least = max(2, round(len(spans) * FREQUENT_FRAC))
    order = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    forms = []
    for (word, after_blank), (count, index) in order:
        first, num_pieces = int(cut.first_token[index]), int(cut.num_pieces[index])
        if count >= least and num_pieces:
            begin = int(spans.begins[index])
            tokens = slice(first, first + num_pieces)
            forms.append(
                _form(reading, word, after_blank, count, begin, tokens, bool(cut.is_whole[index]))
            )
    return forms


def many_pieces(forms: Iterable[Form]) -> Doubt:
    """Frequent words of four letters or more, in the most pieces for their length."""
    long = [form for form in forms if len(form.word) >= MIN_LETTERS]
    found = [form for form in long if len(form.token_ids) > 1]
    found.sort(key=lambda form: (-len(form.token_ids) / len(form.word), -form.count, form.word))
    examples = [_shown(form) for form in found[:NUM_EXAMPLES]]
    return Doubt("many_pieces", len(found), len(long), examples)


def inside_characters(reading: Reading) -> Doubt:
    """Tokens that end inside a character of more than one byte."""
    begins, ends = reading.begins_T, reading.ends_T
    places = ends[:-1][begins[1:] < ends[:-1]] - 1
    characters, counts = np.unique(places, return_counts=True)
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, num_cuts in zip(characters.tolist(), counts.tolist(), strict=True):
        entry = found[reading.sample.joined[place]]
        entry[0] += 1
        entry[1] = max(entry[1], num_cuts + 1)
    order = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))[:NUM_EXAMPLES]
    examples = [
        {"character": c, "code_point": f"U+{ord(c):04X}", "count": count, "num_pieces": pieces}
        for c, (count, pieces) in order
    ]
    return Doubt("inside_characters", len(places), len(begins), examples)


def not_after_the_word(forms: Iterable[Form]) -> Doubt:
    """Frequent words, longer by up to four letters than one kept whole, not cut after that one."""
    listed = [form for form in forms if form.after_blank]
    whole = {form.word for form in listed if form.is_whole}
    looked_at, found = 0, []
    for form in listed:
        sizes = range(max(MIN_STEM_LETTERS, len(form.word) - MAX_ENDING_LETTERS), len(form.word))
        stems = [form.word[:size] for size in sizes if form.word[:size] in whole]
        if form.is_whole or len(form.token_ids) < 2 or not stems:
            continue
        looked_at += 1
        if not any(len(stem) in form.inner_cuts for stem in stems):
            found.append({**_shown(form), "whole": stems[-1]})
    return Doubt("not_after_the_word", len(found), looked_at, found[:NUM_EXAMPLES])


def same_word(forms: Iterable[Form]) -> Doubt:
    """Words that are cut at other places by case, or by what stands before them."""
    groups: dict[str, list[Form]] = defaultdict(list)
    for form in forms:
        groups[form.word.casefold()].append(form)
    several = [group for group in groups.values() if len(group) > 1]
    found = [group for group in several if len({form.inner_cuts for form in group}) > 1]
    found.sort(key=lambda group: (-sum(form.count for form in group), group[0].word))
    examples = [
        {
            "count": sum(form.count for form in group),
            "forms": [_shown(form) for form in {f.token_ids: f for f in reversed(group)}.values()][
                ::-1
            ],
        }
        for group in found[:NUM_EXAMPLES]
    ]
    return Doubt("same_word", len(found), len(several), examples)


def _form(
    reading: Reading,
    word: str,
    after_blank: bool,
    count: int,
    begin: int,
    tokens: slice,
    is_whole: bool,
) -> Form:
    begins, ends = reading.begins_T[tokens].tolist(), reading.ends_T[tokens].tolist()
    cuts = {end for end, following in zip(ends, begins[1:], strict=False) if end == following}
    ids = reading.ids_T[tokens].tolist()
    return Form(
        word=word,
        after_blank=after_blank,
        count=count,
        token_ids=tuple(ids),
        pieces=tuple(_piece_texts(reading.sample.joined, begins, ends)),
        cuts=frozenset(cut - begin for cut in cuts),
        is_whole=is_whole,
    )


def _piece_texts(joined: str, begins: list[int], ends: list[int]) -> Iterable[str]:
    """The text of each token; a character that two tokens share is shown as � in both."""
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        text = joined[begin:end]
        if number + 1 < len(begins) and begins[number + 1] < end:
            text = text[:-1] + "�"
        if number and ends[number - 1] > begin:
            text = "�" + text[1:]
        yield text


def _shown(form: Form) -> dict[str, Any]:
    return {"word": form.word, "count": form.count, "pieces": list(form.pieces)}


def repeated_entries(spelling: Iterable[bytes]) -> int:
    """Tokens that are another's letters again, but for case and white space around."""
    texts = [text.strip() for one in spelling if (text := _decoded(one)) is not None]
    words = [text.casefold() for text in texts if LETTERS.fullmatch(text)]
    return len(words) - len(set(words))


def _decoded(spelling: bytes) -> str | None:
    try:
        return spelling.decode().replace(END_OF_WORD, " ")
    except UnicodeDecodeError:
        return None
