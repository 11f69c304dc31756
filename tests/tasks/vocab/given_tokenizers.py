"""Tokenizers as other people make them: what a user may hand in to be adopted."""

import json
from collections.abc import Callable

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.tasks.vocab.library_texts import texts


def gpt2(*, ignore_merges: bool = False) -> Tokenizer:
    """Byte level, one special token at the end, which nothing in the model calls unknown."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(pad_id=700, pad_token="<|endoftext|>")
    return tokenizer


def whole_words() -> Tokenizer:
    """Byte level that takes a whole pretoken before it merges, special names among its entries."""
    content = json.loads(gpt2(ignore_merges=True).to_str())
    vocab = content["model"]["vocab"]
    for name in ("[MASK]", "[unused0]", "Ġ[PAD]", "Ġlowest"):
        vocab[name] = len(vocab)
    content["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(content))


def merged_names() -> Tokenizer:
    """Byte level over white space alone, so that merges spell special names and more."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\S+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=800, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*texts(), "[MASK]\n[unused0]\n[PAD]\n" * 50], trainer)
    assert {"[MASK]", "[PAD]", "[unused0]"} <= set(tokenizer.get_vocab())
    return tokenizer


def llama(*, byte_fallback: bool = True) -> Tokenizer:
    """Marks for spaces, bytes for unknown characters, special tokens first, nothing cut before."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=byte_fallback))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    special = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if byte_fallback else []
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[*special, *bytes_], limit_alphabet=60, show_progress=False
    )
    split = pre_tokenizers.Split("▁", "merged_with_next")  # for learning only
    tokenizer.pre_tokenizer = split
    tokenizer.train_from_iterator(texts(), trainer)
    content = json.loads(tokenizer.to_str())
    content["pre_tokenizer"] = None
    content["added_tokens"] = content["added_tokens"][:3]
    content["decoder"] = json.loads(
        decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        ).__getstate__()
    )
    return Tokenizer.from_str(json.dumps(content))


def bert(*, lowercase: bool = True) -> Tokenizer:
    """WordPiece with special tokens in other places, unused entries between, and a frame."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    unused = [f"[unused{number}]" for number in range(50)]
    special = ["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=800, special_tokens=special, limit_alphabet=60, show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [t for t in content["added_tokens"] if "unused" not in t["content"]]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 53), ("[CLS]", 52))
    return tokenizer


def spaced_wordpiece() -> Tokenizer:
    """WordPiece that nothing but white space cuts, its unknown token called otherwise."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<oov>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=800, special_tokens=["<pad>", "<oov>", "<mask>"], show_progress=False
    )
    tokenizer.train_from_iterator([*texts(), "[MASK] [unused0] " * 20], trainer)
    return tokenizer


def xlm() -> Tokenizer:
    """Unigram with its own names, the mask last, its unknown token in fourth place."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=700,
        unk_token="<unk>",
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([text.replace("<UNK>", "") for text in texts()], trainer)
    content = json.loads(tokenizer.to_str())
    content["model"]["vocab"] += [["[PAD]", -2.0], ["<mask>", -99.0]]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return tokenizer


def unigram_with_bytes() -> Tokenizer:
    """Unigram that falls back to bytes, one of which is listed among the special tokens."""
    content = json.loads(xlm().to_str())
    content["model"]["byte_fallback"] = True
    content["model"]["vocab"] += [[f"<0x{byte:02X}>", -1.0] for byte in range(256)]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(["<0x0A>"])
    return tokenizer


def word_level() -> Tokenizer:
    """Words between spaces, special names among the frequent ones."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(
        vocab_size=500, special_tokens=["<s>", "<unk>", "<mask>"], show_progress=False
    )
    tokenizer.train_from_iterator([*texts(), "[MASK] [unused0] [PAD] " * 20], trainer)
    return tokenizer


def clip() -> Tokenizer:
    """The classic end-of-word mark, in the model itself, and a character that is unknown's name."""
    tokenizer = Tokenizer(models.BPE(unk_token="?", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.BPEDecoder("</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=["?"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator([*texts(), "x[MASK]y [PAD] " * 30], trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(content))


GIVEN: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": gpt2,
    "ignore_merges": whole_words,
    "merged_names": merged_names,
    "llama": llama,
    "llama_without_bytes": lambda: llama(byte_fallback=False),
    "bert": bert,
    "cased_bert": lambda: bert(lowercase=False),
    "spaced_wordpiece": spaced_wordpiece,
    "xlm": xlm,
    "unigram_with_bytes": unigram_with_bytes,
    "word_level": word_level,
    "clip": clip,
}
