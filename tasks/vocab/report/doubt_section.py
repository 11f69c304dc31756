"""Where cuts look bad, as a section of the page: a table of examples for each rule."""

from collections.abc import Iterable
from typing import Any

from tasks.report.page import Section, Table
from tasks.vocab.report.doubtful import Doubt
from tasks.vocab.report.findings import Findings
from tasks.vocab.report.wording import cut_text, percent

MAX_FORMS = 6


def doubt_section(findings: Findings) -> Section:
    """The section of the page, a table a rule; what found nothing is told in a sentence."""
    paragraphs = [
        "Found by rules that know no language, among runs of letters that are frequent in the "
        "validation text (one in 20,000, two at least). Some are false alarms."
    ]
    if findings.merging is not None:
        merging = findings.merging
        broken = f"; {merging.num_broken_entries:,} are no whole characters"
        paragraphs.append(
            f"In the vocabulary itself, {merging.num_repeated_entries:,} tokens are the same "
            "letters as another but for case and a space before"
            + (broken if merging.num_broken_entries else "")
            + "."
        )
    tables = [_DOUBT_TABLES[doubt.rule](doubt) for doubt in findings.doubts]
    paragraphs += [table.says for table in tables if not table.rows]
    blocks = [table for table in tables if table.rows]
    return Section(title="Where do cuts look bad?", paragraphs=paragraphs, blocks=blocks)


def _many_pieces_table(doubt: Doubt) -> Table:
    return Table(
        says=f"{doubt.num_found:,} of {doubt.num_looked_at:,} frequent words of four letters or "
        "more are cut. Those in the most pieces for their length:",
        columns=["word", "times", "cut"],
        rows=_form_rows(doubt.examples),
        num_label_columns=3,
    )


def _inside_table(doubt: Doubt) -> Table:
    share = doubt.num_found / doubt.num_looked_at if doubt.num_looked_at else 0.0
    return Table(
        says=f"{doubt.num_found:,} of {doubt.num_looked_at:,} tokens ({percent(share)}) end "
        "inside a character of several bytes. Characters that are cut most often:",
        columns=["character", "code point", "times", "tokens it is spread over, at most"],
        rows=[
            [one["character"], one["code_point"], f"{one['count']:,}", str(one["num_pieces"])]
            for one in doubt.examples
        ],
        num_label_columns=2,
    )


def _not_after_table(doubt: Doubt) -> Table:
    return Table(
        says=f"{doubt.num_looked_at:,} cut words begin with a frequent word that is kept whole and "
        f"are longer by up to four letters; {doubt.num_found:,} are not cut after it.",
        columns=["word kept whole", "longer word", "times", "cut"],
        rows=[
            [one["whole"], one["word"], f"{one['count']:,}", cut_text(one["pieces"])]
            for one in doubt.examples
        ],
        num_label_columns=4,
    )


def _same_word_table(doubt: Doubt) -> Table:
    return Table(
        says="Case, and a space before, make other tokens of a word. Of "
        f"{doubt.num_looked_at:,} words in several forms, {doubt.num_found:,} are even cut at "
        "other places.",
        columns=["times", "forms"],
        rows=[
            [
                f"{one['count']:,}",
                "   ".join(cut_text(form["pieces"]) for form in one["forms"][:MAX_FORMS]),
            ]
            for one in doubt.examples
        ],
        num_label_columns=2,
    )


_DOUBT_TABLES = {
    "many_pieces": _many_pieces_table,
    "inside_characters": _inside_table,
    "not_after_the_word": _not_after_table,
    "same_word": _same_word_table,
}


def _form_rows(examples: Iterable[dict[str, Any]]) -> list[list[str]]:
    return [[one["word"], f"{one['count']:,}", cut_text(one["pieces"])] for one in examples]
