"""What the probe costs: windows that probes read, words' vectors, heads taken out, checkpoints."""

from flows.amounts import Amounts
from flows.config import PipelineConfig
from flows.speed import Speed

PROBE_S = 9.0  # libraries, figures and pages
NUM_TASKS = 5  # that need no labels
NUM_ENCODERS = 2  # the one that is probed, and one with random weights
WINDOWS_PER_EXAMPLE = 2 * 1.4  # as many again to choose and to score on; some tasks read two
WORD2VEC_S_PER_TOKEN = 1.3e-5
OBSERVING = 4.0  # a pass that keeps all layers' states and heads' weights, beside plain encoding
FIT_S_PER_EXAMPLE_AND_LAYER = 2.5e-5
# With strengths to choose from and code lengths; those of words rest on one run under load.
LABEL_FIT_S_PER_EXAMPLE_AND_LAYER, WORD_FIT_S_PER_EXAMPLE_AND_LAYER = 1.6e-4, 7e-5
WORD_TASKS, WORDS_PER_SENTENCE_TOKENS = 4, 1.4


def probe_s(config: PipelineConfig, amounts: Amounts, speed: Speed) -> float:
    """Seconds of the stage. A named encoder is taken for one of the settings' shape."""
    return (
        PROBE_S
        + WORD2VEC_S_PER_TOKEN * config.probe.word2vec_tokens
        + speed.encode_s(config, _window_tokens(config) + _observed_tokens(config, amounts))
        + speed.encode_s(config, _ablated_tokens(config))
        + _fits_s(config)
        + _label_s(config, amounts, speed)
        + _treebank_s(config, speed)
    )


def _window_tokens(config: PipelineConfig) -> float:
    probe = config.probe
    windows = NUM_TASKS * probe.num_seeds * NUM_ENCODERS * WINDOWS_PER_EXAMPLE * probe.num_examples
    return windows * probe.window_tokens


def _observed_tokens(config: PipelineConfig, amounts: Amounts) -> float:
    probe = config.probe
    document_tokens = min(probe.max_tokens_per_document, amounts.document_tokens)
    passes = NUM_ENCODERS + (probe.num_checkpoints + 1 if probe.num_checkpoints else 0)
    return OBSERVING * passes * probe.num_documents * document_tokens


def _ablated_tokens(config: PipelineConfig) -> float:
    """Each head is taken out in turn, and the layers from its own on are run again."""
    shape = config.pretrain.shape
    passes = shape.num_heads * (shape.num_layers + 1) / 2
    return passes * config.probe.ablation_tokens


def _fits_s(config: PipelineConfig) -> float:
    probe, shape = config.probe, config.pretrain.shape
    fits = NUM_TASKS * probe.num_seeds * (shape.num_layers + 1) * 4
    return FIT_S_PER_EXAMPLE_AND_LAYER * fits * probe.num_examples * shape.hidden_size / 128


def _label_s(config: PipelineConfig, amounts: Amounts, speed: Speed) -> float:
    if not config.ingest.label_column:
        return 0.0
    probe, shape = config.probe, config.pretrain.shape
    num_documents = 2 * probe.num_labelled_documents * probe.num_seeds * NUM_ENCODERS
    num_tokens = num_documents * min(probe.max_tokens_per_document, amounts.document_tokens)
    fits = num_documents * (shape.num_layers + 1) * shape.hidden_size / 128
    return speed.encode_s(config, num_tokens) + LABEL_FIT_S_PER_EXAMPLE_AND_LAYER * fits


def _treebank_s(config: PipelineConfig, speed: Speed) -> float:
    if not config.probe.conllu:
        return 0.0
    probe, shape = config.probe, config.pretrain.shape
    num_words = 2 * probe.num_words * probe.num_seeds * NUM_ENCODERS
    fits = WORD_TASKS * num_words * (shape.num_layers + 1) * shape.hidden_size / 128
    num_tokens = WORDS_PER_SENTENCE_TOKENS * num_words
    return speed.encode_s(config, num_tokens) + WORD_FIT_S_PER_EXAMPLE_AND_LAYER * fits
