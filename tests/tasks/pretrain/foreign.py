"""ModernBERT folders as other people make them: with transformers, and a tokenizer of their own."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

from tasks.pretrain.config import PretrainConfig
from tests.model.encoders import stir
from tests.tasks.vocab.library_texts import texts

BERT_NAMES = {
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "pad": "[PAD]",
    "mask": "[MASK]",
}
OTHER_NAMES = {"unk": "<unk>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "mask": "<mask>"}
NUM_UNUSED = 9
LAYERS = {"num_layers": 4, "global_attn_every_n_layers": 3, "local_attention": 6}
SHAPE = {"hidden_size": 32, "num_heads": 2, "intermediate_size": 48, **LAYERS}


def foreign_tokenizer(names: dict[str, str]) -> Tokenizer:
    """Byte-level BPE as ModernBERT's: runs of blanks, special and unused tokens at the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens([AddedToken(" " * n, normalized=True) for n in (24, 23, 22)])
    tokenizer.add_special_tokens([AddedToken(name) for name in names.values()])
    tokenizer.add_tokens([f"[unused{number}]" for number in range(NUM_UNUSED)])
    frame = [(names[role], tokenizer.token_to_id(names[role])) for role in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names['cls']} $A {names['sep']}", special_tokens=frame
    )
    return tokenizer


def foreign_model(vocab_size: int, ids: dict[str, int], **changes: Any) -> ModernBertForMaskedLM:
    """A random one, far from even, with constants that are not ours."""
    settings: dict[str, Any] = {
        "hidden_size": SHAPE["hidden_size"],
        "intermediate_size": SHAPE["intermediate_size"],
        "num_hidden_layers": SHAPE["num_layers"],
        "num_attention_heads": SHAPE["num_heads"],
        "global_attn_every_n_layers": SHAPE["global_attn_every_n_layers"],
        "local_attention": SHAPE["local_attention"],
        "global_rope_theta": 5000.0,
        "local_rope_theta": 300.0,
        "norm_eps": 1e-4,
        "max_position_embeddings": 512,
        "initializer_range": 0.03,
    }
    torch.manual_seed(0)
    model = ModernBertForMaskedLM(
        ModernBertConfig(vocab_size=vocab_size, **ids, **{**settings, **changes})
    )
    stir(model)
    return model.eval()


def foreign_folder(
    folder: Path,
    names: dict[str, str] = BERT_NAMES,
    *,
    max_shard_size: str = "1GB",
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Path:
    """The folder that transformers writes for model and tokenizer."""
    tokenizer = foreign_tokenizer(names)
    roles = {f"{role}_token": name for role, name in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    ids = {f"{role}_token_id": tokenizer.token_to_id(names[role]) for role in ("pad", "cls", "sep")}
    ids |= {"bos_token_id": ids["cls_token_id"], "eos_token_id": ids["sep_token_id"]}
    vocab_size = -(-tokenizer.get_vocab_size() // 64) * 64
    model = foreign_model(vocab_size, ids, **changes).to(dtype)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def respell(folder: Path) -> None:
    """Rewrite config.json as transformers 4.48 spells it."""
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    rope = settings.pop("rope_parameters")
    del settings["layer_types"]
    settings |= {
        "global_rope_theta": rope["full_attention"]["rope_theta"],
        "local_rope_theta": rope["sliding_attention"]["rope_theta"],
        "global_attn_every_n_layers": SHAPE["global_attn_every_n_layers"],
        "torch_dtype": settings.pop("dtype"),
        "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
        "reference_compile": None,
        "transformers_version": "4.48.0",
    }
    path.write_text(json.dumps(settings))


def config_for(folder: Path, **changes: Any) -> PretrainConfig:
    """Settings of a run that continues from the folder."""
    return PretrainConfig(**{**SHAPE, "init_from": folder, **changes})
