"""The probe stage: from an encoder and tokens to tables, plots and a report."""

import shutil

from model.huggingface import load_encoder
from tasks.probe.config import ProbeConfig
from tasks.probe.figures import draw_figures
from tasks.probe.findings import probe_encoder
from tasks.probe.metrics import final_metrics
from tasks.probe.report import write_report
from tasks.probe.table import write_rows
from tasks.runtime.devices import pick_device
from tasks.stage import Metrics, Stage, StageContext
from tasks.tokens import TokenizedCorpus


def run(context: StageContext) -> Metrics:
    """Measure every layer and head of the pretrained encoder.

    Writes `layers.parquet`, `heads.parquet`, `plots/*.svg` and `report.html`.

    Raises:
        CorpusError: validation and test hold fewer than two documents with text.
    """
    config: ProbeConfig = context.config
    device = pick_device(config.device)
    encoder = load_encoder(context.inputs["pretrain"].path).to(device).eval()
    tokens = TokenizedCorpus(context.inputs["tokenize"].path)
    documents = {split: tokens.documents(split) for split in ("train", "validation", "test")}
    findings = probe_encoder(encoder, documents, config, context.report)
    write_rows(findings.layers, context.output / "layers.parquet")
    write_rows(findings.heads, context.output / "heads.parquet")
    plots = context.output / "plots"
    shutil.rmtree(plots, ignore_errors=True)  # an earlier attempt's
    plots.mkdir()
    figures = draw_figures(findings)
    for name, figure in figures.items():
        (plots / f"{name}.svg").write_text(figure.svg, encoding="utf-8")
    write_report(findings, figures, context.output / "report.html")
    return final_metrics(findings)


PROBE = Stage(
    name="probe",
    version=1,
    upstream=("ingest", "vocab", "tokenize", "pretrain"),
    run=run,
    tracked_files=("report.html",),
)
