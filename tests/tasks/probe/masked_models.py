"""Masked language models of the probe tests' sizes, and a sample whose truth one of them knows."""

from dataclasses import replace
from pathlib import Path

import torch

from model.huggingface import save_masked_lm
from model.initialization import initialize
from model.masked_sequences import gap_batches, mask_sequences
from model.mlm import MaskedLanguageModel
from tasks.checkpoints import write_checkpoint
from tasks.probe.masked_loss import MASK_FRAC
from tasks.probe.sample import Sample, draw_sample
from tests.tasks.probe.encoders import CONFIG, enlarge, rising_documents


def plain_model(seed: int = 1, scale: float = 20.0) -> MaskedLanguageModel:
    """A model whose weights are large enough for context to matter."""
    model = MaskedLanguageModel(CONFIG)
    initialize(model, CONFIG, seed)
    enlarge(model, scale)
    return model.eval()


def sample(num_documents: int = 30) -> Sample:
    held_out = [rising_documents(40, 1), rising_documents(40, 2)]
    return draw_sample(held_out, num_documents=num_documents, max_tokens_per_document=40, seed=3)


@torch.inference_mode()
def known_sample(model: MaskedLanguageModel, drawn: Sample) -> Sample:
    """The sample with the model's own guesses at the places that are masked by default."""
    masked = mask_sequences(drawn.documents, model.config, mask_frac=MASK_FRAC, seed=0)
    documents = []
    for one, document in zip(masked, drawn.documents, strict=True):
        (gaps,) = gap_batches([one], model.config, tokens_per_batch=1, device=torch.device("cpu"))
        logits_MV = model(gaps.batch, gaps.positions_M)
        logits_MV[:, list(model.config.special_ids)] = -torch.inf
        known = document.copy()
        known[one.positions_M] = logits_MV.argmax(-1).numpy()
        documents.append(known)
    return replace(drawn, documents=documents)


def write_run(folder: Path, steps: list[int]) -> None:
    """A checkpoint a step, whose model has the step as its seed."""
    for step in steps:
        write_checkpoint(
            folder / "checkpoints", step, lambda own, step=step: save(own, step), scheduled=True
        )


def save(folder: Path, step: int) -> None:
    save_masked_lm(plain_model(step), folder)
    (folder / "optimizer.safetensors").write_bytes(b"moments")
