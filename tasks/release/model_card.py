"""The model card of a released embedder: what it was made of, what it can do, and its limits.

Numbers and names only: no word of any document.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.release.release import Release
from tasks.store.artifact import ArtifactRef
from tasks.system_names import EMBEDDER, system_label

FIRST_MEASURES = frozenset({"recall_at_1", "accuracy", "spearman", "ndcg_at_10"})
FEW_QUERIES = 200  # below that an interval spans some ten points

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from.

    Attributes:
        name: of the registered model.
        release: the embedder's.
        artifacts: of the run behind it, by stage.
        metrics: final ones of its stages, named ``stage/name``.
        scores: rows of ``scores.parquet``.
        differences: rows of ``differences.parquet``.
        embedder: what ``embedder.json`` says.
        encoder: what ``config.json`` says.
        settings: of the stages, by stage, as far as they change what is made.
        learned_from_erased: whether documents that it learned from have been erased since.
    """

    name: str
    release: Release
    artifacts: Mapping[str, ArtifactRef]
    metrics: Mapping[str, float]
    scores: Sequence[Row]
    differences: Sequence[Row]
    embedder: Mapping[str, Any]
    encoder: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    learned_from_erased: bool = False


def model_card(facts: CardFacts) -> str:
    """The card in Markdown, its most wanted sections first, some 4,000 characters."""
    parts = (_head, _use, _data, _vocabulary, _training, _scores, _limits, _probes, _lineage)
    return "\n\n".join("\n".join(part(facts)) for part in parts) + "\n"


def _head(facts: CardFacts) -> Iterator[str]:
    encoder, embedder = facts.encoder, facts.embedder
    yield f"# {facts.name}, release {facts.release.id}"
    yield ""
    yield (
        f"Turns a document of any length into one unit vector of {embedder['dim']} numbers. "
        f"An encoder of {encoder['num_hidden_layers']} layers, {encoder['num_attention_heads']} "
        f"heads and width {encoder['hidden_size']}, {_origin(facts.settings)}, then tuned on that "
        "text without labels."
    )


def _origin(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """What was there before: mostly nothing."""
    given = [
        what
        for what, stage, key in (
            ("weights", "pretrain", "init_from"),
            ("vocabulary", "vocab", "tokenizer"),
        )
        if settings.get(stage, {}).get(key)
    ]
    if given:
        return f"begun with {' and '.join(given)} from elsewhere and trained on the text below"
    return "it and its vocabulary learned from nothing but the text below"


def _use(facts: CardFacts) -> Iterator[str]:
    widths = ", ".join(str(dim) for dim in facts.embedder["matryoshka_dims"])
    yield "## Use"
    yield ""
    yield f'`mlflow.pyfunc.load_model("models:/{facts.name}@champion").predict(texts)`'
    yield ""
    yield (
        f"Whole documents, in windows of {facts.embedder['max_window_tokens']} tokens. Vectors "
        f"may be cut to {widths} numbers: `model_config={{'dim': ...}}`. Compare them by cosine, "
        "and only with vectors of the same release."
    )


def _data(facts: CardFacts) -> Iterator[str]:
    number = _Numbers(facts.metrics, "ingest")
    yield "## Data"
    yield ""
    if facts.learned_from_erased:
        yield "It learned from documents that have been erased since: a new run makes another."
        yield ""
    yield (
        f"{number('num_source_files')} source files, {number('num_read')} documents read, "
        f"{number('num_kept')} kept ({number('num_text_bytes')} bytes of text)."
    )
    yield ""
    yield "| left out as | documents |"
    yield "|---|---|"
    for part in ("duplicate", "near_duplicate", "dropped", "quarantined"):
        yield f"| {part.replace('_', ' ')} | {number(f'num_{part}')} |"
    yield ""
    yield "| split | documents | bytes |"
    yield "|---|---|---|"
    for split in ("train", "validation", "test"):
        count, size = number(f"num_{split}_documents"), number(f"num_{split}_text_bytes")
        yield f"| {split} | {count} | {size} |"


def _vocabulary(facts: CardFacts) -> Iterator[str]:
    number = _Numbers(facts.metrics, "vocab")
    yield "## Vocabulary"
    yield ""
    yield (
        f"{number('vocab_size')} tokens, learned from the training split: "
        f"{number('bytes_per_token')} bytes a token, {number('pieces_per_word')} pieces a word, "
        f"{number('words_kept_whole_frac')} of the words kept whole."
    )


def _training(facts: CardFacts) -> Iterator[str]:
    pretrain, tune = _Numbers(facts.metrics, "pretrain"), _Numbers(facts.metrics, "tune")
    yield "## Training"
    yield ""
    yield (
        f"Masked language modelling: {pretrain('num_steps')} steps over "
        f"{pretrain('num_tokens')} tokens; validation loss {pretrain('validation_loss')} nats, "
        f"where guessing by frequency has {pretrain('unigram_loss')}; "
        f"{pretrain('validation_bits_per_byte')} bits a byte. "
        f"Contrastive tuning on {tune('num_documents')} documents: recall@1 on validation "
        f"{tune('validation_recall_at_1')}, before it {tune('initial_recall_at_1')}."
    )


def _scores(facts: CardFacts) -> Iterator[str]:
    yield "## Scores on the test split"
    yield ""
    columns = list(
        dict.fromkeys(
            (row["task"], row["measure"])
            for row in facts.scores
            if row["measure"] in FIRST_MEASURES
        )
    )
    cells = {(row["system"], row["task"], row["measure"]): row for row in facts.scores}
    yield "| | " + " | ".join(f"{task} {measure}" for task, measure in columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for system in dict.fromkeys(row["system"] for row in facts.scores):
        found = [cells.get((system, *column)) for column in columns]
        if any(found):
            yield f"| {system_label(system)} | {' | '.join(map(_interval, found))} |"
    yield ""
    yield "In brackets: 95 % intervals over documents."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "- It knows the languages, subjects and habits of its corpus and no others, errors and "
        "prejudices included; text of other kinds was not tried."
    )
    yield "- The licence and the privacy of that text bind whoever hands the model on."
    yield from (f"- {line}" for line in _beaten_by(facts))
    few = min((row["n"] for row in facts.scores), default=0)
    if few < FEW_QUERIES:
        yield f"- Scores rest on as few as {few} cases: read the intervals."
    if facts.metrics.get("pretrain/validation_loss", 0) >= facts.metrics.get(
        "pretrain/unigram_loss", float("inf")
    ):
        yield "- The encoder did not learn to guess better than by frequency: train it longer."


def _beaten_by(facts: CardFacts) -> Iterator[str]:
    """What does better than the model, certainly, by the paired interval of the difference."""
    for row in facts.differences:
        is_own = row["system"] == EMBEDDER and not row["baseline"].startswith(EMBEDDER)
        if is_own and row["measure"] in FIRST_MEASURES and row["high"] < 0:
            yield (
                f"{system_label(row['baseline'])} does better at {row['task']} {row['measure']}, "
                f"by {-row['value']:.3f} [{-row['high']:.3f}, {-row['low']:.3f}]."
            )


def _probes(facts: CardFacts) -> Iterator[str]:
    """Each probe beside the same one on an encoder with random weights."""
    yield "## Probes of the layers"
    yield ""
    yield "| probe | accuracy | random weights | best layer |"
    yield "|---|---|---|---|"
    prefix, suffix = "probe/", "_accuracy"
    for name in facts.metrics:
        probe = name.removeprefix(prefix).removesuffix(suffix)
        if name != f"{prefix}{probe}{suffix}" or f"{prefix}random_{probe}{suffix}" not in (
            facts.metrics
        ):
            continue
        own, random = (
            _interval(
                {
                    key: facts.metrics.get(f"{prefix}{whose}{probe}{suffix}{end}", float("nan"))
                    for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))
                }
            )
            for whose in ("", "random_")
        )
        layer = _Numbers(facts.metrics, "probe")(f"{probe}_layer")
        yield f"| {probe.replace('_', ' ')} | {own} | {random} | {layer} |"


def _lineage(facts: CardFacts) -> Iterator[str]:
    yield "## Lineage"
    yield ""
    yield "| stage | content id | artifact |"
    yield "|---|---|---|"
    for stage, ref in facts.artifacts.items():
        yield f"| {stage} | `{ref.content_id}` | `{ref.path}` |"
    yield ""
    yield f"`corpusmith lineage {facts.release.export.path}` leads on to the source files."


class _Numbers:
    """Metrics of one stage as they are read; what was not measured is said to be unknown."""

    def __init__(self, metrics: Mapping[str, float], stage: str) -> None:
        self._metrics = metrics
        self._stage = stage

    def __call__(self, name: str) -> str:
        value = self._metrics.get(f"{self._stage}/{name}")
        if value is None:
            return "unknown"
        return f"{int(value):,}" if value == int(value) else f"{value:.3f}"


def _interval(row: Row | None) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" if row else ""
