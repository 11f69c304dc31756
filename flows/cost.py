"""What each stage is expected to cost on this machine. Estimates from sizes, not promises."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.config import PipelineConfig
from flows.graph import StageName
from tasks.ingest.config import IngestConfig
from tasks.ingest.places.sources import list_sources
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.sizes import (
    encoder_flops_per_token,
    num_parameters,
    training_flops_per_token,
)
from tasks.store.manifest import Manifest

BYTES_PER_TOKEN_AT_8K = 3.2  # English text; grows by about a quarter with each doubling
GZIP_RATIO = 2.7  # of English text
DOCUMENTATION_SHARE = 0.1  # of Python's source files
INTERPRETER_BYTES = 700_000_000  # Python with the libraries and one model
INGEST_BYTES_PER_S = 12e6
TOKENIZE_BYTES_PER_S = 4e6
LEARNED_BYTES_PER_S = {"bpe": 2e7, "unigram": 5e5, "wordpiece": 5e6, "words": 1e7}
# A pass over 3.2 MB of news took Word2Vec 2.0 s (ten took 20) and Doc2Vec 0.9 s (forty took 36).
WORD2VEC_S_PER_MB = 0.6
DOC2VEC_S_PER_MB = 0.3
FORWARD_SHARE = 1 / 3  # of the work of a forward and a backward pass
# The part of the machine's matrix speed that training reaches. It grows with the width: on two
# cores 0.05 and 0.11 were measured at 128 (two machines), 0.28 at 384; that it then stops growing
# is an assumption.
SHARE_PER_WIDTH = 0.08 / 128
MAX_SHARE = 0.25


@dataclass(frozen=True)
class Cost:
    """What one stage is expected to take."""

    seconds: float
    disk_bytes: int = 0
    memory_bytes: int = INTERPRETER_BYTES
    num_parameters: int = 0
    num_tokens: int = 0
    flops: float = 0.0

    @property
    def summary(self) -> str:
        """One line for a table."""
        parts = [f"{self.seconds:,.0f} s"]
        if self.num_parameters:
            parts.append(f"{self.num_parameters / 1e6:.1f} M parameters")
        if self.num_tokens:
            parts.append(f"{self.num_tokens:,} tokens")
        if self.flops:
            parts.append(f"{self.flops:.1e} FLOP")
        return ", ".join(parts)


@dataclass(frozen=True)
class _Sizes:
    """What the estimates rest on."""

    num_bytes: int
    num_corpus_tokens: int
    num_parameters: int
    training_flops_per_token: float
    encoder_flops_per_token: float
    flops_per_s: float

    def training_s(self, flops: float) -> float:
        """Seconds for so many operations, at the speed a model of this width reaches."""
        return flops / self.flops_per_s


def estimate(config: PipelineConfig, known: Mapping[StageName, Manifest]) -> dict[StageName, Cost]:
    """The cost of each stage, from what is committed already and from the sources' sizes."""
    sizes = _sizes(config, known)
    parameters_bytes = 4 * sizes.num_parameters
    checkpoints_bytes = 3 * parameters_bytes * config.pretrain.num_checkpoints
    return {
        "ingest": Cost(2 + sizes.num_bytes / INGEST_BYTES_PER_S, sizes.num_bytes),
        "vocab": _vocab(config, sizes),
        "tokenize": Cost(
            1 + sizes.num_bytes / TOKENIZE_BYTES_PER_S,
            3 * sizes.num_corpus_tokens,
            num_tokens=sizes.num_corpus_tokens,
        ),
        "pretrain": _pretrain(config, sizes, checkpoints_bytes),
        "tune": _tune(config, sizes, checkpoints_bytes),
        "probe": Cost(30.0, 1_000_000),
        "evaluate": _evaluate(config, sizes),
        "export": Cost(3 + _encode_s(sizes), sizes.num_corpus_tokens * 8),
    }


def _evaluate(config: PipelineConfig, sizes: _Sizes) -> Cost:
    """Three encoders on a few documents, and word vectors learned from many."""
    evaluate = config.evaluate
    learned_mb = min(sizes.num_bytes / 1e6, evaluate.max_train_mb)
    passes_s = WORD2VEC_S_PER_MB * evaluate.word2vec_epochs
    passes_s += DOC2VEC_S_PER_MB * evaluate.doc2vec_epochs
    return Cost(15 + _encode_s(sizes) / 2 + learned_mb * passes_s, 1_000_000)


def _vocab(config: PipelineConfig, sizes: _Sizes) -> Cost:
    """The report on samples, most of it for the peers, and the learning."""
    vocab = config.vocab
    report_s = 3 + 2e-6 * vocab.peer_bytes + 2e-4 * vocab.vocab_size
    learned_bytes = 0 if vocab.tokenizer else sizes.num_bytes
    seconds = report_s + learned_bytes / LEARNED_BYTES_PER_S[vocab.algorithm]
    return Cost(seconds, 40 * vocab.vocab_size)


def _sizes(config: PipelineConfig, known: Mapping[StageName, Manifest]) -> _Sizes:
    num_bytes = _text_bytes(config.ingest)
    vocab_size = config.vocab.vocab_size
    shape = config.pretrain.shape
    metrics: dict[str, Any] = {}
    if "tokenize" in known:
        metrics = known["tokenize"].information.get("metrics", {})
    guessed = num_bytes / (BYTES_PER_TOKEN_AT_8K + 0.25 * math.log2(vocab_size / 8192))
    return _Sizes(
        num_bytes=num_bytes,
        num_corpus_tokens=int(metrics.get("num_tokens", guessed)),
        num_parameters=num_parameters(
            shape, vocab_size, tie_embeddings=config.pretrain.tie_embeddings
        ),
        training_flops_per_token=training_flops_per_token(
            shape,
            vocab_size,
            row_tokens=config.tokenize.row_tokens,
            mask_frac=_mean_mask_frac(config.pretrain),
        ),
        encoder_flops_per_token=encoder_flops_per_token(
            shape, row_tokens=config.tokenize.row_tokens
        ),
        flops_per_s=measured_flops_per_s() * min(SHARE_PER_WIDTH * shape.hidden_size, MAX_SHARE),
    )


def _text_bytes(config: IngestConfig) -> int:
    sources = list_sources(config)
    plain = sum(source.num_bytes for source in sources if not source.name.endswith(".gz"))
    packed = sum(source.num_bytes for source in sources if source.name.endswith(".gz"))
    share = 1.0 if config.paths else DOCUMENTATION_SHARE
    return int(share * (plain + GZIP_RATIO * packed))


def _pretrain(config: PipelineConfig, sizes: _Sizes, disk_bytes: int) -> Cost:
    num_tokens = _num_rows(config.pretrain) * config.tokenize.row_tokens
    flops = num_tokens * sizes.training_flops_per_token
    seconds = sizes.training_s(flops) / _num_devices(config.pretrain)
    if config.pretrain.max_minutes:
        seconds = min(seconds, 60 * config.pretrain.max_minutes)
    return Cost(
        seconds=seconds,
        disk_bytes=disk_bytes,
        memory_bytes=INTERPRETER_BYTES + 16 * sizes.num_parameters + _activation_bytes(config),
        num_parameters=sizes.num_parameters,
        num_tokens=num_tokens,
        flops=flops,
    )


def _num_rows(config: PretrainConfig) -> int:
    """Rows in all updates together; while batches grow, the mean of the first and the last."""
    first = config.initial_rows_per_step or config.rows_per_step
    spared = config.ramp_frac * (config.rows_per_step - first) / 2
    return round(config.max_steps * (config.rows_per_step - spared))


def _num_devices(config: PretrainConfig) -> int:
    """How many compute at once: GPUs, but on a machine without them all processes share it."""
    import torch

    num_gpus = torch.cuda.device_count()
    if num_gpus == 0:
        return config.num_nodes
    num_processes = num_gpus if config.num_processes == "auto" else config.num_processes
    return config.num_nodes * min(num_processes, num_gpus)


def _mean_mask_frac(config: PretrainConfig) -> float:
    """The masked part changes evenly over the run."""
    final = config.mask_frac if config.final_mask_frac is None else config.final_mask_frac
    return (config.mask_frac + final) / 2


def _activation_bytes(config: PipelineConfig) -> int:
    """About what the backward pass keeps: some twenty vectors a token and layer, in float32."""
    shape = config.pretrain.shape
    rows = config.pretrain.micro_rows or config.pretrain.rows_per_step
    return rows * config.tokenize.row_tokens * shape.num_layers * shape.hidden_size * 20 * 4


def _tune(config: PipelineConfig, sizes: _Sizes, disk_bytes: int) -> Cost:
    shortest, longest = config.tune.span_min_tokens, config.tune.span_max_tokens
    long_tokens = (shortest + longest) / 2  # on average, in documents that are long enough
    short_tokens = (shortest + long_tokens) / 2
    num_pairs = config.tune.max_steps * config.tune.documents_per_batch
    num_tokens = int(num_pairs * (long_tokens + short_tokens))
    flops = num_tokens * sizes.encoder_flops_per_token
    return Cost(sizes.training_s(flops), disk_bytes, num_tokens=num_tokens, flops=flops)


def _encode_s(sizes: _Sizes) -> float:
    return sizes.training_s(sizes.num_corpus_tokens * sizes.encoder_flops_per_token * FORWARD_SHARE)


def measured_flops_per_s(*, tries: int = 5) -> float:
    """The matrix speed of this machine in the precision training would use; takes moments."""
    import torch

    from tasks.runtime.devices import pick_device, pick_precision

    device = pick_device("auto")
    width = 8192 if device.type == "cuda" else 1024
    matrix = torch.ones(width, width, dtype=pick_precision("auto", device), device=device)
    best_s = math.inf
    for _ in range(tries):
        started = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # reading a value waits for the device
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * width**3 / best_s
