"""Finding what is there already, and planning, must not wait for the libraries of the work."""

import subprocess
import sys

import pytest

from flows.graph import STAGE_NAMES, StageName, load_stage

HEAVY = ("torch", "numba", "sklearn", "scipy", "gensim", "matplotlib", "pyarrow", "mlflow")
CODE = f"""
import sys
from flows.graph import STAGE_NAMES, load_stage
from flows.config import PipelineConfig
from tasks.execute import identify
config = PipelineConfig()
for name in STAGE_NAMES[1:]:
    stage = load_stage(name)
    identify(stage, getattr(config, name), dict.fromkeys(STAGE_NAMES, "0" * 32))
print(*[name for name in {HEAVY} if name in sys.modules])
"""


def test_identities_need_no_library_of_the_work() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", STAGE_NAMES)
def test_a_stage_is_the_one_its_module_runs(name: StageName) -> None:
    """With the names of the files that its code writes for the tracker."""
    import tasks.evaluate.stage as evaluate
    import tasks.probe.stage as probe
    from tasks.embedder import SUMMARY as EMBEDDER
    from tasks.export.dataset import SUMMARY as DATASET
    from tasks.pretrain.curves import CURVES_FILE
    from tasks.pretrain.guesses import GUESSES_FILE
    from tasks.pretrain.stage import SUMMARY_FILE
    from tasks.probe.beside import COMPARISON
    from tasks.probe.table import HEADS, LAYERS
    from tasks.tokens import SUMMARY as TOKENS
    from tasks.tune.stage import TRAINING_SUMMARY
    from tasks.tuned_layers import FILE as TUNED_LAYERS
    from tasks.vocab.report.writing import NUMBER_FILES, QUOTING_FILES
    from tasks.vocab.stage import MERGES_FILE, TOKENIZER_FILE

    written: dict[StageName, set[str]] = {
        "ingest": {"corpus.json", "report.html"},
        "vocab": {TOKENIZER_FILE, MERGES_FILE, *NUMBER_FILES, *QUOTING_FILES},
        "tokenize": {TOKENS},
        "pretrain": {SUMMARY_FILE, CURVES_FILE, "config.json", GUESSES_FILE},
        "tune": {TRAINING_SUMMARY, EMBEDDER, TUNED_LAYERS},
        "probe": {LAYERS, HEADS, probe.STEPS, COMPARISON, probe.OVERVIEW, probe.REPORT},
        "evaluate": {evaluate.SCORES, evaluate.DIFFERENCES, evaluate.OVERVIEW, evaluate.REPORT},
        "export": {DATASET},
    }
    stage = load_stage(name)
    assert stage.name == name
    assert {*stage.tracked_files, *stage.quoting_files} == written[name]
