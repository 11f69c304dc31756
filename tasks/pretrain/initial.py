"""The weights training starts from: fresh ones, or those of a given encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from model.config import EncoderConfig
from model.errors import ArtifactError, RequestError
from model.finite import refuse_broken
from model.huggingface import CONFIG_FILE, encoder_config_from, load_masked_lm
from model.initialization import continue_from, initialize
from model.mlm import MaskedLanguageModel
from model.weight_files import weight_files
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.continued_tokens import token_rows
from tasks.pretrain.sizes import SIZES, Shape
from tasks.pretrain.tokenizer_files import TOKENIZER_FILE
from tasks.settings import StageConfig
from tasks.special_roles import NAMES_FILE, SETTINGS_FILE
from tasks.store.hashing import sha256_of

# The given encoder's special ids do not matter: its tokens take ours.
OWN_IDS = {"pad_id": 0, "unk_id": 1, "cls_id": 2, "sep_id": 3, "mask_id": 4}


def sources(config: StageConfig) -> dict[str, str] | None:
    """What identifies the encoder to start from: the hashes of its files, not where they lie.

    Raises:
        RequestError: there is no encoder in that folder.
    """
    assert isinstance(config, PretrainConfig)
    folder = config.init_from
    if folder is None:
        return None
    try:
        weights = weight_files(folder)
    except ArtifactError as error:
        raise RequestError(f"pretrain.init_from: {error}") from error
    others = [folder / name for name in (CONFIG_FILE, TOKENIZER_FILE, SETTINGS_FILE, NAMES_FILE)]
    found = [path for path in (*weights, *others) if path.is_file()]
    return {f"init_from/{path.name}": sha256_of(path) for path in found}


def initial_encoder(config: PretrainConfig, encoder: EncoderConfig) -> EncoderConfig:
    """The encoder that the settings describe, with the constants of the one to start from.

    Wavelengths of positions, the norms' epsilon and the spread of fresh weights are properties of
    the given weights that no setting names; the longest sequence is the longer of both.

    Raises:
        RequestError: the given encoder has other sizes; the message says what to set.
        ArtifactError: its `config.json` is damaged or of another architecture.
    """
    if config.init_from is None:
        return encoder
    given = encoder_config_from(config.init_from, OWN_IDS)
    _refuse_other_sizes(config.init_from, given, encoder)
    longest = max(given.max_position_embeddings, encoder.max_position_embeddings)
    return replace(
        encoder,
        max_position_embeddings=longest,
        global_rope_theta=given.global_rope_theta,
        local_rope_theta=given.local_rope_theta,
        norm_eps=given.norm_eps,
        initializer_range=given.initializer_range,
    )


def initial_model(
    config: PretrainConfig,
    encoder: EncoderConfig,
    tokenizer: Path,
    say: Callable[[str], None] | None = None,
) -> MaskedLanguageModel:
    """The model before its first update, on the CPU.

    Args:
        config: says the seed, or the folder to start from.
        encoder: the sizes to have; with a folder to start from, `initial_encoder`'s answer is
            what the model gets.
        tokenizer: `tokenizer.json` of the vocabulary to have.
        say: hears, in one line, how the given table was taken over, where rows have moved.

    Raises:
        RequestError: the given encoder has other sizes or another vocabulary.
        ArtifactError: it is damaged or of another architecture.
    """
    encoder = initial_encoder(config, encoder)
    model = MaskedLanguageModel(encoder)
    if config.init_from is None:
        initialize(model, encoder, config.seed)
        return model
    folder = config.init_from
    if not (folder / TOKENIZER_FILE).is_file():
        raise RequestError(
            f"pretrain.init_from: {folder} has no {TOKENIZER_FILE}, so its vocabulary "
            "cannot be compared; put the tokenizer it was trained with there"
        )
    given = encoder_config_from(folder, OWN_IDS)
    rows = token_rows(tokenizer, folder, num_tokens=encoder.vocab_size, num_given=given.vocab_size)
    continue_from(model, _finite_model(folder, given), torch.tensor(rows.given_ids), config.seed)
    if say is not None and rows.message:
        say(rows.message)
    return model


def _finite_model(folder: Path, given: EncoderConfig) -> MaskedLanguageModel:
    """A diverged run leaves weights that no rate can train any further."""
    model = load_masked_lm(folder, given)
    refuse_broken(model.state_dict(), folder)
    return model


def _refuse_other_sizes(folder: Path, given: EncoderConfig, wanted: EncoderConfig) -> None:
    names = [name for name in (*Shape._fields, "tie_embeddings") if _differs(name, given, wanted)]
    if names:
        first = names[0]
        raise RequestError(
            f"pretrain.init_from: {folder} has {first} = {getattr(given, first)}, but this run "
            f"asks for {getattr(wanted, first)}; set {_advice(given, names)}"
        )


def _differs(name: str, given: EncoderConfig, wanted: EncoderConfig) -> bool:
    """Whether the two differ in a size that matters: windows do only where layers have them."""
    theirs, ours = _kinds(given), _kinds(wanted)
    if name == "global_attn_every_n_layers":
        return given.num_layers == wanted.num_layers and theirs != ours
    if name == "local_attention" and all(theirs) and all(ours):
        return False
    return bool(getattr(given, name) != getattr(wanted, name))


def _kinds(encoder: EncoderConfig) -> list[bool]:
    """Which layers see the whole sequence."""
    return [encoder.is_full_layer(layer) for layer in range(encoder.num_layers)]


def _advice(given: EncoderConfig, names: list[str]) -> str:
    """The settings that give this encoder: a size by its name where it is one."""
    shape = Shape(*(getattr(given, name) for name in Shape._fields))
    values: dict[str, Any] = {name: getattr(given, name) for name in names}
    for size, preset in SIZES.items():
        if preset == shape:
            tied = {key: value for key, value in values.items() if key == "tie_embeddings"}
            values = {"size": size, **tied} if len(values) > len(tied) else tied
    return ", ".join(f"pretrain.{name} = {value}" for name, value in values.items())
