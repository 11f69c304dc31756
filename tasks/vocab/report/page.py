"""The vocab stage's page."""

from collections.abc import Sequence

from tasks.report.page import Figure, Section, Table, format_number, render_report
from tasks.vocab.report.curve import MEASURES
from tasks.vocab.report.doubt_section import doubt_section
from tasks.vocab.report.examples import STEPS
from tasks.vocab.report.figures import Figures
from tasks.vocab.report.findings import Findings, Merging
from tasks.vocab.report.measures import RENYI_ALPHA
from tasks.vocab.report.pitfall_wording import WORDINGS, tell
from tasks.vocab.report.wording import (
    ALGORITHMS,
    SOURCES,
    STYLES,
    Style,
    cut_text,
    fairness,
    label,
    lead,
    loss_against_words,
    megabytes,
    visible,
)

MERGES_IN_ROW = 5
LONG_MEAN_WORD = 15  # characters; below it in all languages that put spaces between words
Blocks = list[Figure | Table]


def report_page(findings: Findings, figures: Figures) -> str:
    """The page as self-contained HTML; the same findings give the same bytes."""
    merging = findings.merging
    sections = [_peer_section(findings, figures)]
    if merging is not None:
        sections += [_size_section(merging, figures), _cut_section(merging)]
    sections.append(doubt_section(findings))
    sections.append(
        Section(
            title="What does BPE lose against rule-based words?",
            paragraphs=loss_against_words(findings),
        )
    )
    if merging is not None:
        sections.append(_pitfall_section(merging))
    sections.append(_method_section(findings))
    return render_report(
        "What is the vocabulary worth?", sections, lead=lead(findings), facts=_facts(findings)
    )


def _facts(findings: Findings) -> dict[str, str]:
    facts = {
        "Algorithm": ALGORITHMS[findings.algorithm],
        "Tokens": f"{findings.subject.measures['num_usable_tokens']:,.0f}",
        "Entries with padding": f"{findings.subject.measures['vocab_size']:,.0f}",
    }
    if findings.merging is not None:
        facts["Distinct pretokens"] = f"{findings.counts['num_distinct_pretokens']:,.0f}"
        facts["Merges"] = f"{findings.counts['num_merges']:,.0f}"
    return facts | {
        "Validation text": megabytes(findings.sample.num_bytes),
        "Words in it": f"{len(findings.sample.words):,}",
        "Peers learned from": megabytes(findings.num_train_bytes),
    }


def _peer_section(findings: Findings, figures: Figures) -> Section:
    blocks: Blocks = [*figures.peers.values(), _peer_table(findings)]
    blocks += [_boundary_table(findings, source) for source in findings.golds]
    return Section(
        title="Beside other vocabularies of its size",
        paragraphs=[
            "Other ways of making a vocabulary, measured on the same validation text. "
            + " ".join(fairness(findings)),
            *_note_on_words(findings),
        ],
        blocks=blocks,
    )


def _note_on_words(findings: Findings) -> list[str]:
    """A warning where words between white space are no words."""
    words = findings.sample.words
    length = float((words.ends - words.begins).mean())
    if length < LONG_MEAN_WORD:
        return []
    return [
        f"What stands between white space is {length:.0f} characters long here on average, as in "
        "languages written without spaces: measures by word say little."
    ]


def _peer_table(findings: Findings) -> Table:
    return Table(
        says="A word is what stands between white space, punctuation included. Tokens/word counts "
        "all tokens, pieces/word only those of words. Kept whole, unknown: shares of words. Never "
        "used: share of tokens that this sample does not hold. Restored: share of texts that "
        "decoding gives back.",
        columns=["", *(style.heading for style in STYLES.values())],
        rows=[
            [
                label(system),
                *(style.text(system.measures[name]) for name, style in STYLES.items()),
            ]
            for system in findings.systems
        ],
        emphasized=frozenset({0}),
    )


def _boundary_table(findings: Findings, source: str) -> Table:
    gold = findings.golds[source]
    names = ("precision", "recall", "f1")
    style = Style("", 3)
    rows = []
    for system in findings.systems:
        values = [system.measures.get(f"{source}_boundary_{name}") for name in names]
        rows.append([label(system), *("n/a" if v is None else style.text(v) for v in values)])
    judged = (
        "Only words that carry an affix are judged; some of them only look as if they did."
        if source == "affix"
        else "The treebank's own text is cut. Words kept whole miss its boundaries inside them."
    )
    return Table(
        says=f"Agreement with {SOURCES[source]}: boundaries between tokens inside words beside "
        f"{len(gold.positions):,} right ones in {len(gold.words):,} words. {judged}",
        columns=["", "precision", "recall", "F1"],
        rows=rows,
        emphasized=frozenset({0}),
    )


def _size_section(merging: Merging, figures: Figures) -> Section:
    curve = merging.curve
    table = Table(
        says="Merges are learned in order, so the first of them are the smaller vocabularies. "
        "Training text is exact, from the learning run; the rest is validation text, cut anew.",
        columns=[
            "tokens",
            "training bytes/token",
            *(STYLES[name].heading for name in MEASURES),
        ],
        rows=[
            [
                f"{size:,}",
                format_number(curve.train_bytes_per_token(size)),
                *(STYLES[name].text(measured[name]) for name in MEASURES),
            ]
            for size, measured in curve.by_size.items()
        ],
        emphasized=frozenset({len(curve.by_size) - 1}),
    )
    return Section(
        title="Which size?",
        paragraphs=[
            "A larger vocabulary shortens sequences and lengthens the embedding table; rarer "
            "tokens are trained on fewer examples."
        ],
        blocks=[*figures.sizes.values(), table],
    )


def _cut_section(merging: Merging) -> Section:
    steps = [str(step) for step in STEPS] + ["all"]
    shown = [step for step in steps if all(step in one["cuts"] for one in merging.examples)]
    headings = ["all merges" if step == "all" else f"{int(step):,} merges" for step in shown]
    examples = Table(
        says="How frequent words are cut as merges are added. ␣ is a space, | a boundary.",
        columns=["word", "times", *headings],
        rows=[
            [
                visible(one["pretoken"]),
                f"{one['count']:,}",
                *(cut_text(one["cuts"][step]) for step in shown),
            ]
            for one in merging.examples
        ],
        num_label_columns=len(shown) + 2,
    )
    blocks: Blocks = [examples] if merging.examples else []
    if merging.first_merges:
        blocks.append(_merge_table(merging.first_merges))
    return Section(title="How are words cut?", blocks=blocks)


def _merge_table(first_merges: Sequence[str]) -> Table:
    cells = [
        f"{number}. {merge.replace('Ġ', '␣').replace('Ċ', '⏎')}"
        for number, merge in enumerate(first_merges, 1)
    ]
    cells += [""] * (-len(cells) % MERGES_IN_ROW)
    num_rows = len(cells) // MERGES_IN_ROW
    return Table(
        says=f"The first {len(first_merges)} merges as merges.txt has them, but ␣ for a space; "
        "down the columns.",
        columns=[""] * MERGES_IN_ROW,
        rows=[cells[row::num_rows] for row in range(num_rows)],
        num_label_columns=MERGES_IN_ROW,
        folded=True,
    )


def _pitfall_section(merging: Merging) -> Section:
    by_name = {pitfall.name: pitfall for pitfall in merging.pitfalls}
    told = [by_name[name] for name in WORDINGS if name in by_name]
    tables: Blocks = [
        Table(
            says=f"{WORDINGS[pitfall.name].title}: examples",
            columns=columns,
            rows=[[visible(cell) for cell in row] for row in pitfall.examples],
            num_label_columns=len(columns),
            folded=True,
        )
        for pitfall in told
        if (columns := WORDINGS[pitfall.name].columns) and pitfall.examples
    ]
    return Section(
        title="What would a naive implementation get wrong here?",
        paragraphs=[tell(pitfall) for pitfall in told],
        blocks=tables,
    )


def _method_section(findings: Findings) -> Section:
    paragraphs = [
        f"Validation text: every n-th document of the validation split, "
        f"{megabytes(findings.sample.num_bytes)} in all. All numbers are of this one sample and "
        "carry no intervals; read small differences as none.",
        "Tokens a word divides all tokens, those of white space included, by the words between "
        "white space. Whether texts come back is tested by decoding them.",
        f"Rényi efficiency: entropy of order {RENYI_ALPHA} of the tokens over the logarithm of the "
        "vocabulary's size (Zouhar et al. 2023, 2306.16842). Vocabularies can be made that score "
        "higher and serve worse (Cognetta et al. 2024), so it is reported and nothing is chosen "
        "by it. Nor do fewer tokens by themselves make a better encoder (Schmidt et al. 2024, "
        "2402.18376).",
        "Byte pair encoding is run here as expectation and maximization. The name is honest only "
        "so far: the expectation step is a count and the maximization step a greedy choice; there "
        "is no latent posterior, no likelihood that rises, and no bound that tightens. What is "
        "optimised, greedily, is the length of the training text in tokens. Of the peers, Unigram "
        "is the one that is fitted by EM in earnest (Kudo 2018, 1804.10959).",
    ]
    if findings.merging is not None and findings.config.symbols == "characters":
        paragraphs.append(
            "Training bytes are those of words, with one space after each: white space is not "
            "counted when words are marked at their ends."
        )
    return Section(title="How it was measured", paragraphs=paragraphs)
