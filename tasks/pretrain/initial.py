"""The weights training starts from: fresh ones, or those of a given encoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from model.config import EncoderConfig
from model.errors import RequestError
from model.huggingface import WEIGHTS_FILE, encoder_config_from, load_masked_lm
from model.initialization import initialize
from model.mlm import MaskedLanguageModel
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.tokenizer_files import TOKENIZER_FILE, same_vocabulary
from tasks.settings import StageConfig
from tasks.store.hashing import sha256_of


def sources(config: StageConfig) -> dict[str, str] | None:
    """What identifies the encoder to start from: the hash of its weights, not where it lies.

    Raises:
        RequestError: there is no encoder in that folder.
    """
    assert isinstance(config, PretrainConfig)
    if config.init_from is None:
        return None
    weights = config.init_from / WEIGHTS_FILE
    if not weights.is_file():
        raise RequestError(
            f"pretrain.init_from: {weights} is missing; name a folder with {WEIGHTS_FILE}, "
            f"config.json and {TOKENIZER_FILE}, such as a pretrain artifact or a checkpoint"
        )
    return {"init_from": sha256_of(weights)}


def initial_model(
    config: PretrainConfig, encoder: EncoderConfig, tokenizer: Path
) -> MaskedLanguageModel:
    """The model before its first update, on the CPU.

    Args:
        config: says the seed, or the folder to start from.
        encoder: the sizes to have.
        tokenizer: `tokenizer.json` of the vocabulary to have.

    Raises:
        RequestError: the given encoder has other sizes or another vocabulary.
        ArtifactError: it is damaged or of another architecture.
    """
    if config.init_from is None:
        model = MaskedLanguageModel(encoder)
        initialize(model, encoder, config.seed)
        return model
    _refuse_other_sizes(config.init_from, encoder)
    if not (config.init_from / TOKENIZER_FILE).is_file():
        raise RequestError(
            f"pretrain.init_from: {config.init_from} has no {TOKENIZER_FILE}, so its vocabulary "
            "cannot be compared; put the tokenizer it was trained with there"
        )
    if not same_vocabulary(config.init_from / TOKENIZER_FILE, tokenizer):
        raise RequestError(
            f"pretrain.init_from: {config.init_from} was trained with another vocabulary; train "
            "from fresh weights or on a corpus tokenized with its vocabulary"
        )
    model = MaskedLanguageModel(encoder)
    model.load_state_dict(load_masked_lm(config.init_from).state_dict())
    return model


def _refuse_other_sizes(folder: Path, wanted: EncoderConfig) -> None:
    found = encoder_config_from(folder)
    # How long sequences may be and how fresh weights were drawn is no property of the weights.
    found = replace(
        found,
        max_position_embeddings=wanted.max_position_embeddings,
        initializer_range=wanted.initializer_range,
    )
    different: list[tuple[str, Any, Any]] = [
        (name, getattr(found, name), value)
        for name, value in vars(wanted).items()
        if getattr(found, name) != value
    ]
    if different:
        name, theirs, ours = different[0]
        raise RequestError(
            f"pretrain.init_from: {folder} has {name} = {theirs}, but this run asks for {ours}; "
            "set pretrain.size, its parts or the vocabulary as that encoder has them"
        )
