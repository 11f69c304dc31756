"""The probe stage's page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from model.layer_likeness import MOST_TOKENS
from tasks.probe.ablation import Ablation
from tasks.probe.beside import SideBySide
from tasks.probe.comparison import Comparison
from tasks.probe.findings import Findings
from tasks.probe.layers import RANK_TOKENS_PER_DIMENSION
from tasks.probe.page.accounts import account_table
from tasks.probe.page.figures import COURSES, HEAD_FIGURES, LAYER_FIGURES, random_rows
from tasks.probe.page.grammar_page import grammar_section, grammar_sentences
from tasks.probe.page.head_grid_page import head_grid_inset
from tasks.probe.page.head_walk_page import head_walk_inset
from tasks.probe.page.labels_page import label_section, label_sentences
from tasks.probe.page.showcase import Showcase
from tasks.probe.page.side_by_side import beside_sections, beside_sentence
from tasks.probe.page.word_neighbours_page import word_neighbours_inset
from tasks.probe.page.wording import layer_name, number
from tasks.probe.ratios import MAX_GROUPS as MAX_PROBE_GROUPS
from tasks.probe.sample import SPLIT
from tasks.probe.table import select
from tasks.probe.treebank.conllu import SENTENCES_PER_BLOCK
from tasks.probe.treebank.reading import Treebank
from tasks.report.page import Figure, Section, Table, format_number, render_report

Figures = Mapping[str, Figure]


def write_report(
    findings: Findings,
    figures: Figures,
    path: Path,
    *,
    examples: Showcase | None = None,
    beside: Sequence[SideBySide] = (),
) -> None:
    """Write the page as one HTML file; without `examples` it has no word of the corpus."""
    sections = [
        _probe_section(findings, figures),
        _layer_section(findings, figures),
        _head_section(findings, figures),
        *label_section(findings.labels),
        *(grammar_section(findings.grammar) if findings.grammar else []),
        *(_course_section(figures) if findings.guessing and findings.guessing.steps else []),
        *(section for each in beside for section in beside_sections(each, figures)),
        *(_example_sections(examples) if examples else []),
        _method_section(findings),
    ]
    lead = " ".join(
        [*label_sentences(findings.labels), _lead(findings), *map(beside_sentence, beside)]
    )
    page = render_report(
        "What each layer and head knows", sections, lead=lead, facts=_facts(findings)
    )
    path.write_text(page, encoding="utf-8")


def _lead(findings: Findings) -> str:
    if not findings.comparisons:
        return (
            "The held-out text is too little for probes that label themselves; the shapes below "
            "still describe the encoder."
        )
    if findings.grammar is not None:
        return " ".join(grammar_sentences(findings.grammar))
    return " ".join(
        f"{_task_words(one).capitalize()}: accuracy {format_number(one.trained.value)}, random "
        f"weights {format_number(one.random.value)}; {one.standing}."
        for one in findings.comparisons
    )


def _task_words(comparison: Comparison) -> str:
    return comparison.task.replace("_", " ")


def _facts(findings: Findings) -> dict[str, str]:
    encoder = findings.encoder
    return {
        "Encoder": f"{encoder.num_layers} layers of width {encoder.hidden_size}",
        "Heads per layer": str(encoder.num_heads),
        "Documents looked at": f"{len(findings.sample.documents):,}",
        "Tokens looked at": f"{findings.sample.num_tokens:,}",
        "Probe seeds": ", ".join(map(str, findings.seeds)),
        "Intervals": "95 %",
    }


def _probe_section(findings: Findings, figures: Figures) -> Section:
    paragraphs = [
        "A probe is a linear map from the states of one layer to an answer. Labels are made from "
        "the text itself, as many of each. The same probe on an encoder with random weights shows "
        "what the architecture gives for free, and shuffled labels show what a probe can learn "
        "by heart. Where the intervals of trained and random weights overlap, this page says so."
    ]
    paragraphs += [
        f"The corpus is too small for the task {task.replace('_', ' ')}: it is left out."
        for task in findings.omitted
    ]
    blocks: list[Figure | Table] = [figures[one.task] for one in findings.comparisons]
    if findings.comparisons:
        blocks.append(_probe_table(findings))
    return Section(
        title="Does it know more than random weights?", paragraphs=paragraphs, blocks=blocks
    )


def _probe_table(findings: Findings) -> Table:
    rows = []
    for one in findings.comparisons:
        test = findings.examples[one.task]["test"]
        counts = [
            format_number(one.chance, 2),
            f"{len(test.labels_E):,}",
            f"{test.num_documents:,}",
        ]
        systems = {
            "trained": one.trained,
            "random weights": one.random,
            "shuffled labels": one.control,
            "Word2Vec": one.static,
        }
        rows += [
            [_task_words(one), name, layer_name(row.layer), number(row), *counts]
            for name, row in systems.items()
        ]
    return Table(
        says="Each system at the layer that did best on validation, scored on test. Examples and "
        "documents are those of one seed.",
        columns=["task", "system", "layer", "accuracy", "chance", "examples", "documents"],
        rows=rows,
        num_label_columns=3,
        emphasized=frozenset(range(0, len(rows), 4)),
    )


def _layer_section(findings: Findings, figures: Figures) -> Section:
    return Section(
        title="The shape of the layers",
        paragraphs=[
            "These measures need no labels. They describe the space of hidden states; they do not "
            "say that one layer is better than another."
        ],
        blocks=[
            *(figures[name] for name in ("masked_loss",) if name in figures),
            *(figures[measure] for measure in LAYER_FIGURES if measure in figures),
            figures["layer_similarity"],
            _layer_table(findings),
        ],
    )


def _layer_table(findings: Findings) -> Table:
    rows = []
    for measure, style in LAYER_FIGURES.items():
        trained = select(findings.layers, measure)
        random = random_rows(findings, findings.layers, measure)
        rows += [
            [
                style.title,
                layer_name(one.layer),
                number(one, style.digits),
                number(other, style.digits),
            ]
            for one, other in zip(trained, random, strict=True)
        ]
    return Table(
        says="The numbers behind these figures",
        columns=["measure", "layer", "trained", "random weights"],
        rows=rows,
        num_label_columns=2,
        folded=True,
    )


def _head_section(findings: Findings, figures: Figures) -> Section:
    return Section(
        title="What the heads look at",
        paragraphs=[
            "Means over all real tokens as queries. Keys include the special tokens, since heads "
            "attend to them. Attention shows where a head looks, not what the encoder would lose "
            "without it."
        ],
        blocks=[
            *(figures[name] for name in ("head_ablation",) if name in figures),
            *(figures[f"head_{measure}"] for measure in HEAD_FIGURES),
        ],
    )


def _course_section(figures: Figures) -> list[Section]:
    return [
        Section(
            title="How it came about",
            paragraphs=[
                "The same measures on checkpoints of the training, on the same held-out text; "
                "update 0 is before the first. Intervals are of each checkpoint alone."
            ],
            blocks=[figures[f"course_{measure}"] for measure in COURSES],
        )
    ]


def _example_sections(examples: Showcase) -> list[Section]:
    sections = []
    if examples.grid is not None:
        sections.append(
            Section(title="Every head, over sentences", blocks=[head_grid_inset(examples.grid)])
        )
    sections += [
        Section(title="One word in its contexts", blocks=[word_neighbours_inset(each)])
        for each in examples.neighbours
    ]
    if examples.walk is not None:
        sections.append(
            Section(title="One sentence through one head", blocks=[head_walk_inset(examples.walk)])
        )
    return sections


def _method_section(findings: Findings) -> Section:
    sample = findings.sample
    return Section(
        title="How it was measured",
        paragraphs=[
            *(findings.notes or ()),
            f"Layer and head measures: {len(sample.documents):,} documents drawn from {SPLIT}, "
            f"{sample.num_tokens:,} leading tokens of them, one pass through the encoder in "
            "float32. Special tokens and padding are left out of all layer statistics. Layer 0 is "
            "the embedding output; the last layer is taken after the final norm.",
            f"Similarity of layers is taken on at most {MOST_TOKENS:,} of these tokens, effective "
            f"rank on at most {RANK_TOKENS_PER_DIMENSION} for each dimension: drawn once, the same "
            "for all layers and encoders.",
            f"Their intervals: documents are dealt into {sample.num_groups} groups and each group "
            "is left out in turn (delete-a-group jackknife, Student's t). They cover the choice of "
            "documents, not the chance of training; another training run could differ by more.",
            "Probes: ridge regression onto the labels on standardized means of the states of real "
            f"tokens, in closed form. Fitted on documents of train{_trained_words(findings)}, "
            "strength and layer chosen on validation, scored on test. "
            "Each seed draws its own examples, random weights and shuffled labels.",
            f"Their intervals: the same jackknife over at most {MAX_PROBE_GROUPS} groups of test "
            "documents, with the variance between seeds added (Student's t with Satterthwaite's "
            "degrees of freedom): wide rather than narrow.",
            f"Random weights are drawn as for training{_random_words(findings)}. Their layer and "
            f"head measures use seed {findings.seeds[0]} alone.",
            f"Word2Vec: skip-gram of the same tokens and width, {findings.static.num_tokens:,} "
            "tokens of train; each token has one vector, so it stands beside the embeddings.",
            *(_ablation_words(findings.guessing.ablation) if findings.guessing else []),
            *(_treebank_words(findings.treebank) if findings.treebank else []),
        ],
        blocks=[
            account_table(sorted({row.measure for row in (*findings.layers, *findings.heads)}))
        ],
    )


def _trained_words(findings: Findings) -> str:
    own = " (the encoder was trained on these, without the labels)"
    return own if findings.notes is None else ""


def _random_words(findings: Findings) -> str:
    own = (
        ", but their heads are not turned to neighbours as `pretrain.initial_heads` may say; such "
        "layers change their input little"
    )
    return own if findings.notes is None else ""


def _ablation_words(ablation: Ablation) -> list[str]:
    return [
        f"Heads are taken out one at a time on the first {ablation.num_documents:,} of these "
        f"documents ({ablation.num_tokens:,} tokens, {ablation.num_gaps:,} of them masked), which "
        f"is the work of {ablation.num_passes:.1f} passes; with all heads the loss there is "
        f"{ablation.loss:.2f} nats."
    ]


def _treebank_words(treebank: Treebank) -> list[str]:
    """What was read of the treebank, what was left out, and how it was dealt."""
    splits = "; ".join(
        f"{split} {len(sentences):,} sentences, {treebank.num_words(split):,} words, "
        f"{treebank.num_documents(split):,} documents"
        for split, sentences in treebank.sentences.items()
    )
    words = [f"Treebank ({', '.join(treebank.files)}): {splits}."]
    if treebank.drawn:
        words.append(f"Drawn from train's documents: {' and '.join(treebank.drawn)}.")
    if treebank.has_blocks:
        words.append(f"Where no document is named, {SENTENCES_PER_BLOCK} sentences are one.")
    if treebank.problems:
        faults = "; ".join(f"{fault} ({count:,})" for fault, count in treebank.faults().items())
        words.append(f"Malformed sentences left out, by the first fault of each: {faults}.")
    if treebank.num_documents_repeated:
        words.append(f"Documents left out as repeated: {treebank.num_documents_repeated:,}.")
    if treebank.num_texts_differ:
        words.append(f"Sentences whose text was rebuilt otherwise: {treebank.num_texts_differ:,}.")
    return [" ".join(words)]
