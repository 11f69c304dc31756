"""An untrained embedder of a given size, with a vocabulary of its own, for the export benchmark."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from model.config import EncoderConfig
from model.encoder import Encoder
from model.initialization import initialize
from tasks.embedder import EmbedderSummary
from tasks.pretrain.sizes import SIZES, SizeName
from tasks.pretrain.tokenizer_files import TokenizerFiles
from tasks.tune.folder import write_embedder

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_untrained(
    folder: Path,
    texts: Sequence[str],
    *,
    size: SizeName = "small",
    vocab_size: int = 8192,
    max_window_tokens: int = 512,
) -> None:
    """Write an embedder that corpusmith and sentence-transformers load, its weights fresh.

    Speed does not depend on what the weights are; the vocabulary is learned from the texts, since
    the lengths do depend on that.
    """
    folder.mkdir(parents=True)
    config = EncoderConfig(
        vocab_size=-(-vocab_size // 64) * 64,
        max_position_embeddings=max_window_tokens,
        **SIZES[size]._asdict(),
    )
    encoder = Encoder(config)
    initialize(encoder, config, 0)
    about = EmbedderSummary(
        pooling="weighted_mean",
        dim=config.hidden_size,
        matryoshka_dims=[config.hidden_size],
        max_window_tokens=max_window_tokens,
        layer=config.num_layers,
    )
    with tempfile.TemporaryDirectory() as name:
        vocab = Path(name) / "vocab.json"
        _learn_vocabulary(texts, vocab_size).save(str(vocab))
        TokenizerFiles(vocab, config).write(Path(name))
        write_embedder(folder, encoder, torch.ones(config.vocab_size), about, Path(name))


def _learn_vocabulary(texts: Sequence[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
