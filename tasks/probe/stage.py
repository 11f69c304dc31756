"""The probe stage: from an encoder and tokens to tables, plots and a report."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from model.huggingface import encoder_config_from
from tasks.corpus import Corpus
from tasks.named_texts import named_digests
from tasks.probe.basis import basis_of, with_others
from tasks.probe.beside import (
    COMPARISON,
    THIS,
    SideBySide,
    beside_metrics,
    side_by_side,
    write_comparison,
)
from tasks.probe.checkpoints import (
    SavedModel,
    find_checkpoints,
    saved_models,
    untrained_model,
)
from tasks.probe.config import ProbeConfig
from tasks.probe.definition import PROBE
from tasks.probe.findings import Findings, probe_encoder, random_like
from tasks.probe.foreign import encoder_digests
from tasks.probe.guessing import probe_guesses
from tasks.probe.label_probes import LabelProbes, probe_labels
from tasks.probe.labelled_documents import LeftOut, draw_labelled
from tasks.probe.masked_loss import count_tokens
from tasks.probe.metrics import final_metrics
from tasks.probe.other_encoders import OtherEncoder, Probed, other_encoders
from tasks.probe.over_time import write_step_rows
from tasks.probe.page.figures import draw_figures
from tasks.probe.page.report import write_report
from tasks.probe.page.showcase import showcase
from tasks.probe.page.side_by_side import beside_figures
from tasks.probe.sample import Tokens
from tasks.probe.subject import Subject, read_subject
from tasks.probe.table import HEADS, LAYERS, write_rows
from tasks.probe.treebank.grammar import Grammar, probe_grammar
from tasks.probe.treebank.reading import SETTING, Treebank, read_treebank
from tasks.probe.vocabulary import read_vocabulary
from tasks.runtime.devices import pick_device
from tasks.settings import StageConfig
from tasks.stage import Metrics, Reporter, StageContext
from tasks.token_text import TokenText

__all__ = ["PROBE", "run"]

STEPS = "checkpoints.parquet"
REPORT_BYTES = 250_000  # of what is written, at least
REPORT, OVERVIEW = "report.html", "overview.html"


def sources(config: StageConfig) -> Any:
    """What identifies the treebank, the encoder and others beside it, where the user names them.

    Pairs of name and SHA-256 of the treebank's files; with an encoder a mapping of the hashes of
    its files, and these pairs under "conllu"; others by name; None where none is named.

    Raises:
        RequestError: a path is missing, cannot be read, or has no files below it, or is no probe.
        CorpusError: a file is being written to, or its server fails.
        ArtifactError: another encoder's manifest is damaged.
    """
    assert isinstance(config, ProbeConfig)
    treebank = named_digests(config.conllu, SETTING) if config.conllu else None
    others = {other.name: other.identity for other in _named_encoders(config)}
    if config.encoder is None:
        return with_others(treebank, others)
    own = encoder_digests(config.encoder) | ({"conllu": treebank} if treebank else {})
    return with_others(own, others)


def run(context: StageContext) -> Metrics:
    """Measure every layer and head of the pretrained encoder, or of the one that the user names.

    Writes `layers.parquet`, `heads.parquet`, `checkpoints.parquet` where there are checkpoints,
    `comparison.parquet` where other encoders are named,
    `plots/*.svg`, `report.html`, and `overview.html`, the same without a word of the corpus.

    Raises:
        RequestError: a path that the user names leads nowhere, or not to what it should.
        ArtifactError: another encoder's probe is damaged.
        CorpusError: validation and test hold fewer than two documents with text, or the treebank
            cannot be used.
    """
    config: ProbeConfig = context.config
    context.need_room(REPORT_BYTES)
    treebank = _treebank(config, context.report)
    others = [other.read() for other in _named_encoders(config)]
    device = pick_device(config.device)
    subject = read_subject(context, device)
    vocabulary = read_vocabulary(subject.tokenizer, subject.encoder.config.vocab_size)
    findings = probe_encoder(
        subject.encoder, subject.documents, vocabulary, config, context.report, treebank=treebank
    )
    findings = replace(findings, notes=subject.notes)
    if subject.model is not None:
        train = subject.documents["train"]
        checkpoints = _checkpoints(context, train, device)
        findings = findings.with_guessing(
            probe_guesses(
                subject.model, findings.sample, train, checkpoints, config, context.report
            )
        )
    findings = findings.with_labels(_labels(subject, findings, context))
    if treebank is not None:
        findings = findings.with_grammar(_grammar(subject, findings, treebank, context))
    beside = _beside(findings, others, context)
    _write(findings, beside, subject, context.output)
    return final_metrics(findings) | beside_metrics(beside)


def _named_encoders(config: ProbeConfig) -> list[OtherEncoder]:
    return other_encoders(config.compare_with, version=PROBE.version)


def _beside(
    findings: Findings, others: Sequence[Probed], context: StageContext
) -> list[SideBySide]:
    contents = {name: each.ref.content_id for name, each in context.inputs.items()}
    basis = basis_of(contents, context.config.identity(), sources(context.config))
    own = Probed(name=THIS, layers=findings.layers, heads=findings.heads, basis=basis)
    return [side_by_side(own, other) for other in others]


def _grammar(
    subject: Subject,
    findings: Findings,
    treebank: Treebank,
    context: StageContext,
) -> Grammar:
    total, done = 3 * len(findings.seeds), count(1)
    return probe_grammar(
        subject.encoder,
        findings.static,
        lambda seed: random_like(subject.encoder, seed),
        treebank,
        subject.tokenizer,
        context.config,
        findings.seeds,
        on_system=lambda: context.report.progress(next(done), total, "systems"),
    )


def _labels(
    subject: Subject, findings: Findings, context: StageContext
) -> LabelProbes | LeftOut | None:
    config: ProbeConfig = context.config
    drawn = draw_labelled(
        Corpus(context.inputs["ingest"].path),
        subject.documents,
        subject.names,
        num_documents=config.num_labelled_documents,
        max_tokens=config.max_tokens_per_document,
        seeds=findings.seeds,
    )
    if isinstance(drawn, LeftOut):
        context.report.warning(f"the documents' labels are not probed: {drawn.reason}")
    if drawn is None or isinstance(drawn, LeftOut):
        return drawn
    total, done = 3 * len(drawn), count(1)
    return probe_labels(
        subject.encoder,
        findings.static,
        lambda seed: random_like(subject.encoder, seed),
        drawn,
        max_tokens=config.max_tokens_per_document,
        on_system=lambda: context.report.progress(next(done), total, "systems"),
    )


def _checkpoints(
    context: StageContext, train: Sequence[Tokens], device: torch.device
) -> Iterator[SavedModel]:
    """The encoder before its training, where that began with fresh weights, and its checkpoints."""
    config: ProbeConfig = context.config
    if config.encoder is not None:
        return
    pretrain = context.inputs["pretrain"]
    identity = pretrain.manifest.identity
    if not config.num_checkpoints or not find_checkpoints(pretrain.path):
        return
    if identity.sources is None:
        yield untrained_model(
            pretrain.path,
            seed=identity.settings["seed"],
            counts_V=count_tokens(train, encoder_config_from(pretrain.path).vocab_size),
            looks_at_neighbours=identity.settings["initial_heads"] == "neighbours",
            device=device,
        )
    yield from saved_models(
        pretrain.path,
        most=config.num_checkpoints,
        device=device,
        on_damaged=lambda folder: context.report.warning(
            f"checkpoint {folder.name} of pretraining is damaged and left out"
        ),
    )


def _write(
    findings: Findings, beside: Sequence[SideBySide], subject: Subject, output: Path
) -> None:
    write_rows(findings.layers, output / LAYERS)
    write_rows(findings.heads, output / HEADS)
    if findings.guessing and findings.guessing.steps:
        write_step_rows(findings.guessing.steps, output / STEPS)
    if beside:
        write_comparison(beside, output / COMPARISON)
    plots = output / "plots"
    shutil.rmtree(plots, ignore_errors=True)  # an earlier attempt's
    plots.mkdir()
    figures = draw_figures(findings)
    for name, figure in figures.items():
        (plots / f"{name}.svg").write_text(figure.svg, encoding="utf-8")
    for each in beside:
        figures |= beside_figures(each)
    examples = showcase(subject.encoder, findings, TokenText(subject.tokenizer))
    write_report(findings, figures, output / REPORT, examples=examples, beside=beside)
    write_report(findings, figures, output / OVERVIEW, beside=beside)


def _treebank(config: ProbeConfig, report: Reporter) -> Treebank | None:
    if not config.conllu:
        return None
    treebank = read_treebank(config.conllu, seed=config.seed)
    if treebank.problems:
        report.warning(
            f"{SETTING}: {len(treebank.problems):,} malformed sentences are left out; the first: "
            f"{treebank.problems[0].message}"
        )
    return treebank
