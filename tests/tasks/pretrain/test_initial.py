"""Training goes on from other people's encoders, whose tokens have other ids."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.errors import ArtifactError, RequestError
from model.huggingface import save_masked_lm
from model.mlm import MaskedLanguageModel
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.initial import initial_encoder, initial_model, sources
from tasks.pretrain.sizes import SIZES
from tasks.pretrain.tokenizer_files import TokenizerFiles
from tasks.vocab.adopt import adopt_tokenizer
from tests.model.encoders import IDS
from tests.tasks.pretrain.foreign import (
    BERT_NAMES,
    NUM_UNUSED,
    OTHER_NAMES,
    SHAPE,
    config_for,
    foreign_folder,
    respell,
)
from tests.tasks.vocab.library_texts import texts

ROLES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_folder(tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def adopted(folder: Path, target: Path, *, pad_to_multiple: int = 64) -> Path:
    """The tokenizer of the folder as the vocab stage takes it over."""
    path = target / "adopted.json"
    text = adopt_tokenizer(folder / "tokenizer.json", pad_to_multiple=pad_to_multiple)
    path.write_text(text, encoding="utf-8")
    return path


def encoder_for(tokenizer: Path, **changes: object) -> EncoderConfig:
    """What the settings describe for this vocabulary and rows of 96 tokens."""
    vocab_size = Tokenizer.from_file(str(tokenizer)).get_vocab_size()
    return EncoderConfig(vocab_size=vocab_size, max_position_embeddings=96, **{**SHAPE, **changes})


@cache
def sentences() -> tuple[str, ...]:
    return tuple(text[:150] for text in texts()[:3] + texts()[-6:] if "  " not in text)


@torch.no_grad()
def assert_same_guesses(
    model: MaskedLanguageModel, tokenizer: Path, folder: Path, names: dict[str, str]
) -> None:
    """Every token is as likely everywhere as in transformers, whatever its id."""
    ours = Tokenizer.from_file(str(tokenizer))
    theirs = AutoTokenizer.from_pretrained(folder)
    judge = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    vocab = theirs.get_vocab()
    shared = {name: token_id for name, token_id in ours.get_vocab().items() if name in vocab}
    assert len(shared) >= 500
    pairs = {token_id: vocab[name] for name, token_id in shared.items()}
    pairs |= {ours.token_to_id(ROLES[role]): vocab[name] for role, name in names.items()}
    columns = list(pairs)
    for text in sentences():
        given_L = theirs(text)["input_ids"]
        ids = ours.encode(text).ids
        assert [pairs[token_id] for token_id in ids] == given_L[1:-1]
        given_L[3], ids[2] = vocab[names["mask"]], ours.token_to_id("[MASK]")
        batch = batch_from_sequences([np.array(ids)], row_tokens=len(ids) + 2, **IDS)
        logits_LV = model.logits(model.model(batch))[0]
        expected_LV = judge(input_ids=torch.tensor([given_L])).logits[0]
        torch.testing.assert_close(
            logits_LV[:, columns],
            expected_LV[:, [pairs[column] for column in columns]],
            atol=1e-4,
            rtol=0,
        )


@pytest.mark.parametrize("names", [BERT_NAMES, OTHER_NAMES], ids=["bert", "other"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "free"])
def test_a_foreign_encoder_guesses_as_before(
    names: dict[str, str], tied: bool, tmp_path: Path
) -> None:
    folder = foreign_folder(tmp_path / "foreign", names, tie_word_embeddings=tied)
    tokenizer = adopted(folder, tmp_path)
    encoder = encoder_for(tokenizer, tie_embeddings=tied)
    config = config_for(folder, tie_embeddings=tied)
    model = initial_model(config, encoder, tokenizer).eval()
    assert model.config == initial_encoder(config, encoder)
    assert_same_guesses(model, tokenizer, folder, names)


@pytest.mark.parametrize("kind", ["old", "bfloat16", "float16", "sharded"])
def test_every_way_of_storing_is_read(kind: str, tmp_path: Path) -> None:
    dtypes = {"bfloat16": torch.bfloat16, "float16": torch.float16}
    size = "20KB" if kind == "sharded" else "1GB"
    folder = foreign_folder(
        tmp_path / "foreign", dtype=dtypes.get(kind, torch.float32), max_shard_size=size
    )
    if kind == "old":
        respell(folder)
    assert (folder / "model.safetensors.index.json").exists() == (kind == "sharded")
    tokenizer = adopted(folder, tmp_path)
    model = initial_model(config_for(folder), encoder_for(tokenizer), tokenizer).eval()
    assert_same_guesses(model, tokenizer, folder, BERT_NAMES)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_what_was_taken_is_said(folder: Path, tmp_path: Path) -> None:
    tokenizer = adopted(folder, tmp_path, pad_to_multiple=320)
    said: list[str] = []
    encoder = encoder_for(tokenizer)
    initial_model(config_for(folder), encoder, tokenizer, said.append)
    kept = 500 + 5 + NUM_UNUSED  # both have these; one unused tokens up to 640, the other rows
    assert said == [
        f"pretrain.init_from: {kept} tokens keep their rows under this vocabulary's ids, "
        f"{640 - kept} that are new begin at the mean, {576 - kept} rows of the given table are "
        "left out"
    ]


def test_new_rows_depend_on_the_seed_alone(folder: Path, tmp_path: Path) -> None:
    tokenizer = adopted(folder, tmp_path, pad_to_multiple=320)
    encoder = encoder_for(tokenizer)
    one, same, other = (
        initial_model(config_for(folder, seed=seed), encoder, tokenizer).decoder.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert (one != other).any(dim=1).sum() == 640 - (500 + 5 + NUM_UNUSED)


def test_our_own_encoder_goes_on_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    tokenizer = adopted(folder, tmp_path)
    model = initial_model(config_for(folder), encoder_for(tokenizer), tokenizer)
    ours = tmp_path / "ours"
    ours.mkdir()
    save_masked_lm(model, ours)
    TokenizerFiles(tokenizer, model.config).write(ours)
    said: list[str] = []
    again = initial_model(config_for(ours), encoder_for(tokenizer), tokenizer, said.append)
    assert not said
    assert again.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    adopted_again = adopted(ours, tmp_path)
    twice = initial_model(config_for(ours), encoder_for(adopted_again), adopted_again)
    assert torch.equal(twice.decoder.weight, model.decoder.weight)


def test_constants_are_those_of_the_given_encoder(folder: Path, tmp_path: Path) -> None:
    encoder = encoder_for(adopted(folder, tmp_path))
    taken = initial_encoder(config_for(folder), encoder)
    assert taken == replace(
        encoder,
        global_rope_theta=5000.0,
        local_rope_theta=300.0,
        norm_eps=1e-4,
        initializer_range=0.03,
        max_position_embeddings=512,
    )
    assert initial_encoder(config_for(folder), taken) == taken
    longer = replace(encoder, max_position_embeddings=4096)
    assert initial_encoder(config_for(folder), longer).max_position_embeddings == 4096
    assert initial_encoder(PretrainConfig(), encoder) == encoder


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_layers": 3}, "has num_layers = 4, but .* 3; set pretrain.num_layers = 4$"),
        (
            {"hidden_size": 64, "num_heads": 4},
            "has hidden_size = 32, .* set pretrain.hidden_size = 32, pretrain.num_heads = 2$",
        ),
        ({"local_attention": 8}, "has local_attention = 6"),
        ({"global_attn_every_n_layers": 1}, "has global_attn_every_n_layers = 3"),
        ({"tie_embeddings": False}, "set pretrain.tie_embeddings = True$"),
    ],
)
def test_other_sizes_are_refused_with_what_to_set(
    changes: dict[str, object], complaint: str, folder: Path, tmp_path: Path
) -> None:
    encoder = encoder_for(adopted(folder, tmp_path), **changes)
    with pytest.raises(RequestError, match=complaint):
        initial_encoder(config_for(folder), encoder)


def test_a_known_size_is_called_by_its_name(copy: Path, tmp_path: Path) -> None:
    path = copy / "config.json"
    settings = json.loads(path.read_text())
    shape = SIZES["base"]
    settings |= {
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "intermediate_size": shape.intermediate_size,
        "local_attention": shape.local_attention,
        "layer_types": None,
        "global_attn_every_n_layers": shape.global_attn_every_n_layers,
    }
    path.write_text(json.dumps(settings))
    with pytest.raises(RequestError, match=r"; set pretrain\.size = base$"):
        initial_encoder(config_for(copy), encoder_for(adopted(copy, tmp_path)))


def test_windows_do_not_matter_where_no_layer_has_them(tmp_path: Path) -> None:
    folder = foreign_folder(
        tmp_path / "foreign", layer_types=["full_attention"] * 4, local_attention=64
    )
    encoder = encoder_for(adopted(folder, tmp_path), global_attn_every_n_layers=1)
    assert initial_encoder(config_for(folder), encoder).local_attention == 6


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"layer_types": ["sliding_attention", *["full_attention"] * 3]},
            "layer_types follow no regular spacing",
        ),
        ({"hidden_activation": "relu"}, "hidden_activation = 'relu'"),
        ({"attention_bias": True}, "attention_bias = True"),
        ({"norm_bias": True}, "norm_bias = True"),
        ({"decoder_bias": False}, "decoder_bias = False"),
        ({"classifier_bias": True}, "classifier_bias = True"),
    ],
)
def test_another_architecture_is_refused(
    changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    folder = foreign_folder(tmp_path / "foreign", **changes)
    tokenizer = adopted(folder, tmp_path)
    with pytest.raises(ArtifactError, match=complaint):
        initial_model(config_for(folder), encoder_for(tokenizer), tokenizer)


def test_a_table_without_rows_for_all_tokens_is_refused(copy: Path, tmp_path: Path) -> None:
    tokenizer = adopted(copy, tmp_path)
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 64}))
    with pytest.raises(ArtifactError, match=r"has ids up to .* but the table there has 64 rows"):
        initial_model(config_for(copy), encoder_for(tokenizer), tokenizer)


def test_weights_of_a_diverged_run_are_refused(copy: Path, tmp_path: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.layers.2.mlp.Wo.weight"][3, 4] = torch.nan
    save_file(weights, copy / "model.safetensors")
    tokenizer = adopted(copy, tmp_path)
    with pytest.raises(ArtifactError, match=r"layers\.2\.mlp\.Wo\.weight has values that are not"):
        initial_model(config_for(copy), encoder_for(tokenizer), tokenizer)


def test_an_encoder_without_its_tokenizer_is_refused(copy: Path, tmp_path: Path) -> None:
    tokenizer = adopted(copy, tmp_path)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(RequestError, match=r"has no tokenizer\.json"):
        initial_model(config_for(copy), encoder_for(tokenizer), tokenizer)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_all_that_is_read_identifies_the_run(name: str, copy: Path) -> None:
    before = sources(config_for(copy))
    assert before is not None
    assert f"init_from/{name}" in before
    with (copy / name).open("ab") as file:
        file.write(b"\n")
    after = sources(config_for(copy))
    assert after is not None
    assert {key for key in before if before[key] != after[key]} == {f"init_from/{name}"}
    assert sources(PretrainConfig()) is None


def test_shards_identify_the_run_too(tmp_path: Path) -> None:
    folder = foreign_folder(tmp_path / "foreign", max_shard_size="20KB")
    found = sources(config_for(folder))
    assert found is not None
    shards = {f"init_from/{path.name}" for path in folder.glob("model-*.safetensors")}
    assert len(shards) > 1
    assert shards < found.keys()


def test_pickles_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(RequestError, match=r"^pretrain\.init_from: .*\.bin is a pickle"):
        sources(PretrainConfig(init_from=tmp_path))
    with pytest.raises(RequestError, match=r"model\.safetensors is missing"):
        sources(PretrainConfig(init_from=tmp_path / "nowhere"))


def test_fresh_weights_need_no_folder(folder: Path, tmp_path: Path) -> None:
    tokenizer = adopted(folder, tmp_path)
    encoder = encoder_for(tokenizer)
    one, two = (
        initial_model(PretrainConfig(seed=seed), encoder, tokenizer).state_dict() for seed in (0, 1)
    )
    assert not torch.equal(one["decoder.weight"], two["decoder.weight"])
