"""What each stage is expected to cost on this machine. Estimates from sizes, not promises.

Each stage is a sum of parts, and a part is an amount (bytes, tokens, updates) times what one costs.
The constants were measured on two cores; what a machine really takes is learned from the runs it
has done, as one factor a stage (`flows.past_runs`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flows.amounts import Amounts, Metrics, expected_amounts
from flows.config import PipelineConfig
from flows.graph import STAGE_NAMES, StageName
from flows.probe_cost import probe_s
from flows.speed import Speed
from flows.tune_cost import tuning_flops_per_token, tuning_s, tuning_tokens
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.sizes import num_parameters, training_flops_per_token
from tasks.store.manifest import Manifest

INTERPRETER_BYTES = 700_000_000  # Python with the libraries and one model
SAVED_BYTES_PER_S = 2e8  # checkpoints: written, flushed and hashed
# Beside the stages: servers, the flow and its stages, the tracker's last words, the release.
RUN_S, STAGE_S = 12.0, 0.5

INGEST_S, INGEST_S_PER_MB, INGEST_S_PER_DOCUMENT = 0.7, 0.15, 2e-4
PARSE_S_PER_MB = 0.44  # of Python's source
VOCAB_S, PEERS_S_PER_MB, VOCAB_S_PER_TOKEN = 1.5, 0.6, 6e-5
LEARN_S_PER_MB = {"bpe": 0.28, "unigram": 2.0, "wordpiece": 0.4, "words": 0.3}
TOKENIZE_S, TOKENIZE_S_PER_MB = 0.3, 0.35
# A pass over a MB: learning, and making out a text that Doc2Vec has not learned.
WORD2VEC_S_PER_MB, DOC2VEC_S_PER_MB, INFERENCE_S_PER_MB = 0.45, 0.25, 0.6
EVALUATE_S, EVALUATE_S_PER_QUERY = 4.0, 1e-3
PRETRAIN_S, EXPORT_S = 3.5, 4.0
VALIDATING = 0.6  # beside plain encoding: it is done in the precision of training
NUM_SCORED_ENCODERS, NUM_HALF_TASKS = 3, 2  # tuned, pretrained, untrained; plain and hard


@dataclass(frozen=True)
class Cost:
    """What one stage is expected to take.

    Attributes:
        rests_on: where the seconds come from, in words.
        is_measured: whether a run on this machine stands behind them.
    """

    seconds: float
    disk_bytes: int = 0
    memory_bytes: int = INTERPRETER_BYTES
    num_parameters: int = 0
    num_tokens: int = 0
    flops: float = 0.0
    rests_on: str = "sizes alone: it has not run here"
    is_measured: bool = False

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

    def calibrated(self, factor: float, rests_on: str) -> "Cost":
        """The same with its seconds held against what earlier runs took."""
        seconds = self.seconds * factor
        return replace(self, seconds=seconds, rests_on=rests_on, is_measured=True)


def estimate(
    config: PipelineConfig, known: Mapping[StageName, Manifest], speed: Speed
) -> dict[StageName, Cost]:
    """The cost of each stage, from what is committed already and from the sources' sizes.

    Args:
        config: the settings.
        known: what has been committed for just these settings.
        speed: of matrices on this machine.
    """
    counted: dict[str, Metrics] = {
        name: each.information.get("metrics", {}) for name, each in known.items()
    }
    amounts = expected_amounts(config, counted)
    return {name: cost_of(name, config, amounts, speed) for name in STAGE_NAMES}


def cost_of(
    stage: StageName,
    config: PipelineConfig,
    amounts: Amounts,
    speed: Speed,
    *,
    done_frac: float = 0.0,
) -> Cost:
    """The cost of one stage that reads these amounts.

    Args:
        stage: its name.
        config: the settings of it and of the stages before it.
        amounts: what it reads.
        speed: of matrices.
        done_frac: part of its updates or documents that need not be done.
    """
    left = 1.0 - done_frac
    match stage:
        case "ingest":
            return Cost(_ingest_s(amounts), int(amounts.num_text_bytes))
        case "vocab":
            return Cost(_vocab_s(config, amounts), 40 * config.vocab.vocab_size)
        case "tokenize":
            seconds = TOKENIZE_S + TOKENIZE_S_PER_MB * amounts.num_text_bytes / 1e6
            num_tokens = int(amounts.num_tokens)
            return Cost(seconds, 3 * num_tokens, num_tokens=num_tokens)
        case "pretrain":
            return _pretrain(config, amounts, speed, left)
        case "tune":
            return _tune(config, amounts, speed, left)
        case "probe":
            return Cost(probe_s(config, amounts, speed), 1_000_000)
        case "evaluate":
            return Cost(_evaluate_s(config, amounts, speed), 1_000_000)
        case "export":
            seconds = EXPORT_S + left * speed.encode_s(config, amounts.num_tokens)
            return Cost(seconds, int(8 * amounts.num_tokens))


def _ingest_s(amounts: Amounts) -> float:
    seconds = INGEST_S + INGEST_S_PER_DOCUMENT * amounts.num_documents
    if amounts.is_code:
        return seconds + PARSE_S_PER_MB * amounts.num_source_bytes / 1e6
    return seconds + INGEST_S_PER_MB * amounts.num_text_bytes / 1e6


def _vocab_s(config: PipelineConfig, amounts: Amounts) -> float:
    """The report on samples, most of it for the peers, and the learning."""
    vocab = config.vocab
    train_mb = amounts.num_train_bytes / 1e6
    report_s = VOCAB_S + PEERS_S_PER_MB * min(vocab.peer_bytes / 1e6, train_mb)
    if vocab.tokenizer:
        return report_s
    learning_s = VOCAB_S_PER_TOKEN * vocab.vocab_size + LEARN_S_PER_MB[vocab.algorithm] * train_mb
    return report_s + learning_s


def _evaluate_s(config: PipelineConfig, amounts: Amounts, speed: Speed) -> float:
    """Encoders on halves of test documents, and word vectors learned from training documents."""
    evaluate = config.evaluate
    documents = amounts.num_documents
    test_frac = max(1.0 - amounts.train_frac - amounts.validation_frac, 0.0)
    num_queries = min(documents * test_frac, evaluate.max_queries)
    num_texts = NUM_SCORED_ENCODERS * NUM_HALF_TASKS * num_queries
    if config.ingest.label_column:
        num_labelled = min(documents * amounts.train_frac, evaluate.max_labelled_documents)
        num_texts += NUM_SCORED_ENCODERS * (num_labelled + num_queries)
    learned_frac = min(evaluate.max_train_documents / max(documents * amounts.train_frac, 1.0), 1.0)
    learned_mb = min(amounts.num_train_bytes / 1e6 * learned_frac, evaluate.max_train_mb)
    passes_s = WORD2VEC_S_PER_MB * evaluate.word2vec_epochs
    passes_s += DOC2VEC_S_PER_MB * evaluate.doc2vec_epochs
    asked_mb = NUM_HALF_TASKS * num_queries * amounts.num_text_bytes / max(documents, 1.0) / 1e6
    seconds = EVALUATE_S + EVALUATE_S_PER_QUERY * num_queries * evaluate.num_resamples / 1000
    seconds += speed.encode_s(config, num_texts * amounts.document_tokens)
    inference_s = INFERENCE_S_PER_MB * evaluate.doc2vec_epochs * asked_mb
    return seconds + learned_mb * passes_s + inference_s


def _pretrain(config: PipelineConfig, amounts: Amounts, speed: Speed, left: float) -> Cost:
    pretrain, row_tokens = config.pretrain, config.tokenize.row_tokens
    parameters = num_parameters(
        pretrain.shape, config.vocab.vocab_size, tie_embeddings=pretrain.tie_embeddings
    )
    flops_per_token = training_flops_per_token(
        pretrain.shape,
        config.vocab.vocab_size,
        row_tokens=row_tokens,
        mask_frac=_mean_mask_frac(pretrain),
    )
    num_tokens = _num_rows(pretrain) * row_tokens
    flops = num_tokens * flops_per_token
    training_s = left * speed.pretraining_s(config, flops) / num_devices(pretrain, speed.num_gpus)
    if pretrain.max_minutes:
        training_s = min(training_s, 60 * pretrain.max_minutes)
    validated = min(pretrain.validation_rows * row_tokens, amounts.num_validation_tokens)
    validation_s = speed.encode_s(config, left * VALIDATING * pretrain.validations * validated)
    disk_bytes = 12 * parameters * pretrain.num_checkpoints
    return Cost(
        seconds=PRETRAIN_S + training_s + validation_s + left * disk_bytes / SAVED_BYTES_PER_S,
        disk_bytes=disk_bytes,
        memory_bytes=INTERPRETER_BYTES + 16 * parameters + _activation_bytes(config),
        num_parameters=parameters,
        num_tokens=num_tokens,
        flops=flops,
    )


def _num_rows(config: PretrainConfig) -> int:
    """Rows in all updates together; while batches grow, the mean of the first and the last."""
    first = config.initial_rows_per_step or config.rows_per_step
    spared = config.ramp_frac * (config.rows_per_step - first) / 2
    return round(config.max_steps * (config.rows_per_step - spared))


def num_devices(config: PretrainConfig, num_gpus: int) -> int:
    """How many compute at once: GPUs, but on a machine without them all processes share it."""
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


def _tune(config: PipelineConfig, amounts: Amounts, speed: Speed, left: float) -> Cost:
    parameters = num_parameters(config.pretrain.shape, config.vocab.vocab_size)
    num_tokens = tuning_tokens(config, amounts)
    disk_bytes = 12 * parameters * config.tune.num_checkpoints
    return Cost(
        tuning_s(config, amounts, speed, left=left) + left * disk_bytes / SAVED_BYTES_PER_S,
        disk_bytes,
        num_tokens=int(num_tokens),
        flops=num_tokens * tuning_flops_per_token(config, amounts),
    )
