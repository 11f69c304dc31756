"""Trains a ModernBERT with transformers' own Trainer; run by an interpreter that has it.

    python -m tests.benchmarks.pretrain_ours --workspace WORKSPACE --dump /tmp/rows
    PEER/bin/python -m tests.benchmarks.pretrain_peer default --tokens TOKENIZE --vocab VOCAB \\
        --model /tmp/rows --pieces /tmp/rows/gate.npz --steps 5
    PEER/bin/python -m tests.benchmarks.pretrain_peer tuned --tokens TOKENIZE --vocab VOCAB \\
        --minutes 20 --validations 10 --validation-pieces /tmp/rows/validation.npz

TOKENIZE and VOCAB are folders of artifacts. The peer wants an environment of its own:
`pip install torch==2.13.0 transformers==5.23.0 accelerate datasets`. Two forms:

- default: what run_mlm.py does when it is told of a model, data and nothing else: rows of 8, fp32,
  AdamW with a rate of 5e-5 that falls in a line, 15 % masked, scores of all places;
- tuned: what its user can switch on: bf16, scores of masked places only, rows of 16, a rate with
  warm-up, another share.

Both see documents as run_mlm.py's `group_texts` joins them: [CLS] document [SEP] one after the
other, cut into blocks, the rest dropped. What is measured lies between the ends of two updates:
the Trainer's whole loop, without the evaluations.
"""

import argparse
import importlib.metadata
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.benchmarks.pretrain_blocks import grouped_blocks, read_summary
from tests.benchmarks.pretrain_pieces import evaluate, read_pieces

TokenIds = NDArray[Any]
Example = dict[str, Any]

CALIBRATION_STEPS = 8
DEFAULTS: dict[str, dict[str, Any]] = {
    "default": {"rows": 8, "learning_rate": 5e-5, "warmup_frac": 0.0, "weight_decay": 0.0},
    "tuned": {"rows": 16, "learning_rate": 1e-3, "warmup_frac": 0.05, "weight_decay": 0.01},
}


def main() -> None:
    """Prints one line of JSON."""
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    blocks, packing = grouped_blocks(arguments.tokens, arguments.max_documents)
    model = build_model(arguments)
    report = {
        "system": "transformers",
        "form": arguments.form,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "num_threads": torch.get_num_threads(),
        "settings": settings(arguments),
        "packing": packing,
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
    }
    if arguments.pieces:
        pieces = read_pieces(arguments.pieces)
        is_sparse = arguments.form == "tuned"
        report["gate"] = evaluate(model, pieces, autocast=False, sparse=is_sparse)
    if arguments.minutes:
        arguments.steps = max(1, round(arguments.minutes * 60 / calibrated_s(blocks, arguments)))
    if arguments.steps:
        report |= train(model, blocks, arguments)
    sys.stdout.write(json.dumps(report) + "\n")


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line asks for, the form's defaults filled in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=DEFAULTS)
    parser.add_argument("--tokens", type=Path, required=True, help="artifact of tokenize")
    parser.add_argument("--vocab", type=Path, required=True, help="artifact of vocab")
    parser.add_argument("--model", type=Path, help="folder to begin from, weights and sizes")
    parser.add_argument("--config", type=Path, help="folder with sizes for a new model")
    parser.add_argument("--sizes", type=int, nargs=4, default=[6, 384, 6, 576],
                        metavar=("LAYERS", "WIDTH", "HEADS", "INTERMEDIATE"))  # fmt: skip
    parser.add_argument("--steps", type=int, default=0, help="updates; 0 = none")
    parser.add_argument("--minutes", type=float, help="as many updates as this takes, by a trial")
    parser.add_argument("--discard-steps", type=int, default=0, help="first ones, not timed")
    parser.add_argument("--rows", type=int, help="rows in one update")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--warmup-frac", type=float)
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--schedule", default="linear", help="Trainer's lr_scheduler_type")
    parser.add_argument("--mask-frac", type=float, default=0.15)
    parser.add_argument("--fp32", action="store_true", help="the tuned form without bf16")
    parser.add_argument("--compile", action="store_true", help="Trainer's torch_compile")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--threads", type=int, help="of torch; else as torch decides")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and masks")
    parser.add_argument("--pieces", type=Path, help="masked pieces whose loss is told first")
    parser.add_argument("--validation-pieces", type=Path, help="masked pieces to evaluate on")
    parser.add_argument("--validations", type=int, default=0, help="spread over the updates")
    parser.add_argument("--max-documents", type=int, help="use the first of them only")
    arguments = parser.parse_args(given)
    for name, value in DEFAULTS[arguments.form].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    arguments.bf16 = arguments.form == "tuned" and not arguments.fp32
    if arguments.validations and not arguments.validation_pieces:
        parser.error("--validations needs --validation-pieces")
    return arguments


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the numbers depend on."""
    names = ["form", *DEFAULTS[arguments.form], "mask_frac", "bf16", "compile", "schedule", "seed"]
    return {name: getattr(arguments, name) for name in names}


# --------------------------------------------------------------------------------- data


def read_tokenizer(vocab: Path) -> Any:
    """The vocabulary as transformers' tokenizer."""
    from transformers import PreTrainedTokenizerFast

    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_file=str(vocab / "tokenizer.json"), **names)


def as_dataset(blocks: TokenIds, arguments: argparse.Namespace) -> Any:
    """The blocks as run_mlm.py hands them to the Trainer; for the tuned form as tensors that lie
    ready."""
    special = read_summary(arguments.tokens)["special_ids"]
    columns = {
        "input_ids": blocks,
        "attention_mask": np.ones_like(blocks),
        "special_tokens_mask": np.isin(blocks, list(special.values())).astype(np.int64),
    }
    if arguments.form == "default":
        from datasets import Dataset

        return Dataset.from_dict({name: list(values) for name, values in columns.items()})
    tensors = {name: torch.from_numpy(values) for name, values in columns.items()}
    return [{name: values[row] for name, values in tensors.items()} for row in range(len(blocks))]


# -------------------------------------------------------------------------------- model


def build_model(arguments: argparse.Namespace) -> Any:
    """The model of a folder, or a new one of the given sizes, with scores as the form has them."""
    from transformers import AutoConfig, AutoModelForMaskedLM, ModernBertConfig, set_seed

    set_seed(arguments.seed)
    sparse = {"sparse_prediction": arguments.form == "tuned"}
    if arguments.config:
        config = AutoConfig.from_pretrained(arguments.config, **sparse)
        return AutoModelForMaskedLM.from_config(config, attn_implementation="sdpa")
    if arguments.model:
        return AutoModelForMaskedLM.from_pretrained(
            arguments.model, attn_implementation="sdpa", dtype=torch.float32, **sparse
        )
    summary = read_summary(arguments.tokens)
    layers, width, heads, intermediate = arguments.sizes
    ids = {f"{name}_token_id": summary["special_ids"][name] for name in ("pad", "cls", "sep")}
    config = ModernBertConfig(
        vocab_size=summary["vocab_size"],
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=summary["row_tokens"],
        layer_types=["full_attention"] * layers,
        bos_token_id=ids["cls_token_id"],
        eos_token_id=ids["sep_token_id"],
        **ids,
        **sparse,
    )
    return AutoModelForMaskedLM.from_config(config, attn_implementation="sdpa")


# ----------------------------------------------------------------------------- training


def calibrated_s(blocks: TokenIds, arguments: argparse.Namespace) -> float:
    """Seconds that one update takes: the median of a few, made with a model thrown away."""
    trial = argparse.Namespace(**vars(arguments))
    trial.steps, trial.validations, trial.discard_steps = CALIBRATION_STEPS, 0, 3
    return statistics.median(train(build_model(trial), blocks, trial)["wall_s"])


def train(model: Any, blocks: TokenIds, arguments: argparse.Namespace) -> dict[str, Any]:
    """All updates; seconds and real tokens of each after the discarded, losses of all."""
    from transformers import DataCollatorForLanguageModeling, PrinterCallback

    trainer = recording_trainer()(
        model=model,
        args=training_arguments(arguments),
        train_dataset=as_dataset(blocks, arguments),
        data_collator=DataCollatorForLanguageModeling(
            read_tokenizer(arguments.vocab), mlm_probability=arguments.mask_frac
        ),
    )
    trainer.remove_callback(PrinterCallback)
    clock = step_clock(model, trainer.num_tokens, arguments)
    trainer.add_callback(clock)
    trainer.train()
    first = arguments.discard_steps
    return {
        "num_discarded": first,
        "wall_s": clock.wall_s[first:],
        "cpu_s": clock.cpu_s[first:],
        "num_tokens": trainer.num_tokens[first:],
        "losses": [float(loss) for loss in trainer.losses],
        "validations": clock.validations,
    }


def training_arguments(arguments: argparse.Namespace) -> Any:
    """The Trainer's settings: its own defaults but for what the form changes."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=tempfile.gettempdir(),  # nothing is saved
        max_steps=arguments.steps,
        per_device_train_batch_size=arguments.rows,
        learning_rate=arguments.learning_rate,
        warmup_steps=round(arguments.warmup_frac * arguments.steps),
        weight_decay=arguments.weight_decay,
        lr_scheduler_type=arguments.schedule,
        bf16=arguments.bf16,
        torch_compile=arguments.compile,
        dataloader_num_workers=arguments.workers,
        dataloader_persistent_workers=arguments.workers > 0,
        dataloader_pin_memory=False,
        use_cpu=True,
        seed=arguments.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def recording_trainer() -> type:
    """The Trainer, which also keeps the losses and the real tokens of its updates."""
    from transformers import Trainer

    class RecordingTrainer(Trainer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.losses: list[torch.Tensor] = []
            self.num_tokens: list[int] = []

        def training_step(self, model: Any, inputs: Example, *rest: Any, **named: Any) -> Any:
            self.num_tokens.append(int(inputs["attention_mask"].sum()))
            loss = super().training_step(model, inputs, *rest, **named)
            self.losses.append(loss)
            return loss

    return RecordingTrainer


def step_clock(model: Any, num_tokens: list[int], arguments: argparse.Namespace) -> Any:
    """A callback that times updates from end to end and evaluates between them, off the clock."""
    from transformers import TrainerCallback

    pieces = read_pieces(arguments.validation_pieces) if arguments.validations else []

    class StepClock(TrainerCallback):
        def __init__(self) -> None:
            self.wall_s: list[float] = []
            self.cpu_s: list[float] = []
            self.validations: list[dict[str, float]] = []

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self._start()

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            self.wall_s.append(time.perf_counter() - self.wall_from)
            self.cpu_s.append(time.process_time() - self.cpu_from)
            due = state.global_step * arguments.validations // arguments.steps
            if due > len(self.validations):
                self._validate(state.global_step)
            self._start()

        def _start(self) -> None:
            self.wall_from, self.cpu_from = time.perf_counter(), time.process_time()

        def _validate(self, step: int) -> None:
            measures = evaluate(model, pieces, autocast=arguments.bf16)
            spent = {"train_wall_s": sum(self.wall_s), "train_cpu_s": sum(self.cpu_s)}
            spent["num_tokens"] = sum(num_tokens)
            self.validations.append({"step": step, **spent, **measures})

    return StepClock()


if __name__ == "__main__":
    main()
