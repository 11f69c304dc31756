"""Encoders as other people save them with transformers, and a small corpus to look at them with."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import UnigramTrainer, WordPieceTrainer
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
)

from tasks.probe.config import ProbeConfig
from tasks.stage import StageContext
from tasks.store.artifact import Artifact
from tests.corpora import topic_documents
from tests.model.encoders import stir
from tests.tasks.chain import Listener, ingested

NAMES = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
CONFIG = ProbeConfig(
    num_documents=30,
    max_tokens_per_document=32,
    num_examples=60,
    window_tokens=8,
    word2vec_tokens=5000,
    device="cpu",
)


def texts() -> list[str]:
    return [str(document["text"]) for document in topic_documents(60)]


def small_corpus(folder: Path) -> Artifact:
    """Sixty documents to learn from and thirty of each held-out split."""
    splits = ["train", "train", "validation", "test"]
    records = [
        {**document, "split": splits[number % 4]}
        for number, document in enumerate(topic_documents(120, seed=3))
    ]
    return ingested(folder, records, label_column="topic")


def wordpiece_tokenizer() -> Tokenizer:
    """As BERT's: lower case, no accents, `##` before what continues a word."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = WordPieceTrainer(
        vocab_size=160, special_tokens=list(NAMES.values()), show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return framed(tokenizer, NAMES)


def unigram_tokenizer(names: dict[str, str]) -> Tokenizer:
    """As SentencePiece's: pieces with scores, and a mark for the space."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=200,
        special_tokens=list(names.values()),
        unk_token=names["unk"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return framed(tokenizer, names)


def framed(tokenizer: Tokenizer, names: dict[str, str]) -> Tokenizer:
    frame = [(names[role], tokenizer.token_to_id(names[role])) for role in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{names['cls']} $A {names['sep']}", special_tokens=frame
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, names: dict[str, str], folder: Path) -> None:
    roles = {f"{role}_token": name for role, name in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)


def bert_folder(folder: Path, kind: type[Any] = BertForMaskedLM) -> Path:
    """A tiny BERT with a WordPiece vocabulary."""
    tokenizer = wordpiece_tokenizer()
    save_tokenizer(tokenizer, NAMES, folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size() + 3,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=40,
        max_position_embeddings=40,
    )
    model = kind(config)
    stir(model, 0.1)
    model.save_pretrained(folder)
    return folder


def headless_folder(folder: Path) -> Path:
    """A tiny ModernBERT alone, in bfloat16, with a Unigram vocabulary and names that are not ours.

    Its tokenizer has no mask token."""
    names = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>"}
    tokenizer = unigram_tokenizer(names)
    save_tokenizer(tokenizer, names, folder)
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=256,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=40,
        local_attention=8,
        pad_token_id=tokenizer.token_to_id("<pad>"),
        cls_token_id=None,
        sep_token_id=None,
    )
    model = ModernBertModel(config)
    stir(model, 0.1)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def context(
    folder: Path, corpus: Artifact, output: Path, report: Listener, **changes: Any
) -> StageContext:
    """What the probe is given to look into the folder."""
    output.mkdir(exist_ok=True)
    config = CONFIG.model_copy(update={"encoder": folder, **changes})
    return StageContext(config, {"ingest": corpus}, output, report)
