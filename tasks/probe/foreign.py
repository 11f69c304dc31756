"""The encoder that the user names by its folder: which kind it is, how it is read, what it lacks.

A folder is as transformers writes it, a ModernBERT or a BERT: `config.json`, weights in
safetensors, whole or in shards, and `tokenizer.json`. Nothing else is read, and no network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from model import bert_files, huggingface
from model.bert import Bert, BertConfig, BertMaskedLanguageModel
from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import ArtifactError, CorpusmithError, RequestError
from model.finite import refuse_broken
from model.json_files import read_json
from model.mlm import MaskedLanguageModel
from model.weight_files import weight_files
from tasks.embedder import load_tokenizer
from tasks.probe.config import ProbeConfig
from tasks.special_roles import NAMES_FILE, SETTINGS_FILE, special_ids
from tasks.store.hashing import sha256_of

SETTING = "probe.encoder"
KINDS = {"modernbert": "ModernBERT", "bert": "BERT"}
TOKENIZER_FILE = "tokenizer.json"

_STAND_INS = ("pad", "unk", "mask")  # roles whose ids no text of such a tokenizer ever has
_NO_HEAD = (
    "Its weights hold no head that guesses masked tokens, so the masked-token loss by layer and "
    "what each head is worth are left out."
)
_NO_MASK = (
    "Its tokenizer names no mask token, so the masked-token loss by layer and what each head is "
    "worth are left out."
)
_NO_WALK = (
    "The page of one sentence through one head shows rotary positions and matrices without biases, "
    "which a BERT has not: it is left out. Every layer of a BERT ends in a norm of its own, so "
    "none is applied after the last."
)


@dataclass(frozen=True, kw_only=True)
class ForeignEncoder:
    """What is in a folder, in evaluation mode, float32, on the CPU.

    Attributes:
        encoder: the encoder.
        model: with the head over that encoder; None where there is none, or no mask token.
        tokenizer: for which text that looks like a special token is data.
        kind: one of the names in `KINDS`.
        left_out: what cannot be measured of it and why, in sentences.
    """

    encoder: Encoder | Bert
    model: MaskedLanguageModel | BertMaskedLanguageModel | None
    tokenizer: Tokenizer
    kind: str
    left_out: tuple[str, ...]


def encoder_digests(folder: Path) -> dict[str, str]:
    """What identifies the encoder: the SHA-256 of each file that counts, not where they lie.

    Raises:
        RequestError: there is no such folder, or it holds no weights that are read.
    """
    folder = _existing(folder)
    with _named():
        weights = weight_files(folder)
    others = (huggingface.CONFIG_FILE, TOKENIZER_FILE, SETTINGS_FILE, NAMES_FILE)
    paths = [*weights, *(folder / name for name in others)]
    return {f"encoder/{path.name}": sha256_of(path) for path in paths if path.is_file()}


def check_encoder(config: ProbeConfig) -> None:
    """Check all that can be known of the named folder without reading its weights.

    Raises:
        RequestError: there is no such folder, it holds no model that is understood here, or the
            settings ask for longer sequences than it reads.
    """
    if config.encoder is not None:
        _describe(_existing(config.encoder), config)


def read_encoder(config: ProbeConfig) -> ForeignEncoder:
    """Read the named folder.

    Raises:
        RequestError: as `check_encoder`, or the weights do not fit the config.
    """
    assert config.encoder is not None
    found = _describe(_existing(config.encoder), config)
    with _named():
        encoder, model = _load(found)
        refuse_broken(encoder.state_dict(), found.path)
    left_out = found.left_out if found.is_modern else (*found.left_out, _NO_WALK)
    return ForeignEncoder(
        encoder=encoder,
        model=model,
        tokenizer=found.tokenizer,
        kind=KINDS[found.model_type],
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Folder:
    """What is said in a folder beside its weights."""

    path: Path
    model_type: str
    config: EncoderConfig | BertConfig
    ids: dict[str, int]
    tokenizer: Tokenizer
    left_out: tuple[str, ...]

    @property
    def is_modern(self) -> bool:
        return isinstance(self.config, EncoderConfig)


def _describe(folder: Path, config: ProbeConfig) -> _Folder:
    with _named():
        weight_files(folder)  # before all else: pickles are what most often stands in the way
        model_type = _model_type(folder / huggingface.CONFIG_FILE)
        if not (folder / TOKENIZER_FILE).is_file():
            raise RequestError(
                f"{folder} has no {TOKENIZER_FILE}; save its tokenizer there with transformers' "
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
        tokenizer = load_tokenizer(folder / TOKENIZER_FILE, advice="choose another folder")
        roles = special_ids(folder, tokenizer)
        ids = _all_ids(roles, folder)
        files = huggingface if model_type == "modernbert" else bert_files
        sizes: EncoderConfig | BertConfig = (
            huggingface.encoder_config_from(folder, ids)
            if model_type == "modernbert"
            else bert_files.bert_config_from(folder, ids)
        )
        _refuse_other_tokenizer(tokenizer, sizes, folder)
        _refuse_longer(config, sizes, folder)
        has_head = files.has_masked_lm_head(folder)
    left_out = () if has_head and "mask" in roles else (_NO_MASK if has_head else _NO_HEAD,)
    return _Folder(folder, model_type, sizes, ids, tokenizer, left_out)


def _load(
    found: _Folder,
) -> tuple[Encoder | Bert, MaskedLanguageModel | BertMaskedLanguageModel | None]:
    model: MaskedLanguageModel | BertMaskedLanguageModel
    if isinstance(found.config, EncoderConfig):
        if found.left_out:
            return huggingface.load_encoder(found.path, found.config).eval(), None
        model = huggingface.load_masked_lm(found.path, found.config)
    else:
        if found.left_out:
            return bert_files.load_bert(found.path, found.ids).eval(), None
        model = bert_files.load_bert_masked_lm(found.path, found.ids)
    return model.model.eval(), model.eval()


@contextmanager
def _named() -> Iterator[None]:
    """Whatever a folder is refused for can be known from the request; the message names it."""
    try:
        yield
    except CorpusmithError as error:
        raise RequestError(f"{SETTING}: {error}") from error


def _existing(folder: Path) -> Path:
    path = folder.expanduser()
    if not path.is_dir():
        raise RequestError(f"{SETTING}: {folder} is no folder on this machine; give its path")
    return path


def _model_type(path: Path) -> str:
    try:
        model_type = read_json(path)["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} does not say what model it describes ({error!r}); choose a folder with a "
            "saved model"
        ) from None
    if model_type not in KINDS:
        raise ArtifactError(
            f"{path}: model_type = {model_type!r}, but only {' and '.join(KINDS)} can be looked "
            "into; choose another model"
        )
    return str(model_type)


def _all_ids(roles: dict[str, int], folder: Path) -> dict[str, int]:
    """An id for every role, under the configs' names."""
    if missing := [role for role in ("cls", "sep") if role not in roles]:
        raise ArtifactError(
            f"{folder}: its tokenizer does not say what begins and ends a text; name "
            f"{' and '.join(f'{role}_token' for role in missing)} in {SETTINGS_FILE}"
        )
    stand_in = next((roles[role] for role in _STAND_INS if role in roles), roles["sep"])
    return {f"{role}_id": roles.get(role, stand_in) for role in ("cls", "sep", *_STAND_INS)}


def _refuse_other_tokenizer(
    tokenizer: Tokenizer, sizes: EncoderConfig | BertConfig, folder: Path
) -> None:
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= sizes.vocab_size:
        raise ArtifactError(
            f"{folder / TOKENIZER_FILE} has a token of id {largest}, but the model's vocab_size is "
            f"{sizes.vocab_size}; choose a folder whose parts belong together"
        )


def _refuse_longer(config: ProbeConfig, sizes: EncoderConfig | BertConfig, folder: Path) -> None:
    """A table of positions ends somewhere; rotary positions do not."""
    if sizes.position_limit is None:
        return
    most = sizes.position_limit - 2
    for name in ("max_tokens_per_document", "window_tokens"):
        if getattr(config, name) > most:
            raise RequestError(
                f"{folder} reads at most {most} tokens beside its special ones, but "
                f"probe.{name} = {getattr(config, name)}; set it to {most} or less"
            )
