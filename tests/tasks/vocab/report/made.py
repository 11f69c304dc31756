"""Vocabularies made in memory for tests of what is measured of them."""

from collections.abc import Sequence
from pathlib import Path

from tasks.vocab.config import VocabConfig
from tasks.vocab.learning import learn_from
from tasks.vocab.library import train_library
from tasks.vocab.pretokens import count_texts
from tasks.vocab.vocabulary import Vocabulary
from tests.tasks.vocab.inputs import Rows

SMALL = {"vocab_size": 384, "peer_bytes": 2**16}


def make_vocabulary(texts: Sequence[str], config: VocabConfig) -> Vocabulary:
    """What the stage would learn from these training texts."""
    if config.algorithm != "bpe":
        definition = train_library(
            config.algorithm,
            texts,
            vocab_size=config.vocab_size,
            pad_to_multiple=config.pad_to_multiple,
        )
        return Vocabulary(algorithm=config.algorithm, definition=definition)
    return learn_from(count_texts(texts, config), config)


def train_texts(rows: Rows) -> list[str]:
    """The texts of the training split."""
    return [text for split, text in rows if split == "train"]


def write_affixes(path: Path) -> Path:
    """A short list of English affixes."""
    path.write_text("# English\nun-\nre-\n-ing\n-ness\n-s\n-ed\n", "utf-8")
    return path
