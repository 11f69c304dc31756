"""The user's treebank: its sentences dealt to train, validation and test by document."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from model.errors import CorpusError
from tasks.named_texts import read_named
from tasks.probe.treebank.conllu import Fault, Problem, Sentence, is_conllu, read_sentences

SETTING = "probe.conllu"
SPLITS = ("train", "validation", "test")
DRAWN_FRAC = 0.1  # of train's documents, for a split that no file is named for
_NAMED = re.compile(r"(?<![a-z])(train|training|dev|devel|valid|validation|test)(?![a-z])")
_SPLIT_OF = {"train": "train", "training": "train", "test": "test"}


@dataclass(frozen=True, slots=True)
class TreebankSentence:
    """A sentence in its split.

    Attributes:
        sentence: its words.
        document: the number of its document, unique over all splits.
    """

    sentence: Sentence
    document: int


@dataclass(frozen=True, kw_only=True)
class Treebank:
    """What was read.

    Attributes:
        sentences: by split, in the order of the files; no split is empty.
        drawn: the splits that were drawn from train's documents, since no file is named for them.
        files: names of what was read.
        problems: the sentences left out.
        num_documents_repeated: documents left out since another has the same sentences.
        num_texts_differ: sentences whose ``# text`` is not what their words spell.
        has_blocks: whether some documents are blocks of sentences, the file naming none.
    """

    sentences: Mapping[str, tuple[TreebankSentence, ...]]
    drawn: tuple[str, ...]
    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    num_documents_repeated: int
    num_texts_differ: int
    has_blocks: bool

    def num_documents(self, split: str) -> int:
        """Documents of a split."""
        return len({one.document for one in self.sentences[split]})

    def num_words(self, split: str) -> int:
        """Words of a split."""
        return sum(len(one.sentence.forms) for one in self.sentences[split])

    def faults(self) -> Counter[Fault]:
        """How many sentences were left out, by reason."""
        return Counter(problem.fault for problem in self.problems)


@dataclass(frozen=True)
class _Document:
    """A document, the name of the file it is in, and the split that this name says."""

    file: str
    name: str
    split: str | None
    sentences: list[Sentence]


def read_treebank(paths: Sequence[str], *, seed: int) -> Treebank:
    """Read every CoNLL-U file behind the paths.

    What is CoNLL-U is found by content, then by name; all else is passed over. Files whose names
    say train, dev or test keep that where train and another are named; else all documents are
    train's. A split without a file of its own gets a tenth of train's documents, drawn by a hash
    of the seed and the document's id. Where a file names no documents, 20 sentences are one.

    Args:
        paths: files, folders, globs, archives or URIs, compressed or not.
        seed: of the draw.

    Raises:
        RequestError: a path is missing, cannot be read, or has no files below it.
        CorpusError: nothing is CoNLL-U, a file has no sentence that is right or is damaged, or
            there are fewer documents than splits.

    Cost: about 6 s for a million words, and 300 bytes of memory a word.
    """
    problems: list[Problem] = []
    documents: list[_Document] = []
    files: list[str] = []
    for file, lines in read_named(paths, SETTING, is_conllu):
        files.append(file)
        documents += _documents(file, read_sentences(file, lines), problems)
    if not files:
        raise CorpusError(
            f"{SETTING}: {', '.join(paths)}: nothing there is CoNLL-U; give files of ten columns "
            "as universaldependencies.org/format.html describes"
        )
    kept = _without_repeats(documents)
    splits, drawn = _deal(kept, seed)
    return Treebank(
        sentences=_numbered(splits),
        drawn=drawn,
        files=tuple(files),
        problems=tuple(problems),
        num_documents_repeated=len(documents) - len(kept),
        num_texts_differ=sum(one.text_differs for each in kept for one in each.sentences),
        has_blocks=any(each.sentences[0].is_block for each in kept),
    )


def split_of_name(file: str) -> str | None:
    """The split that a file's name says, its last part first; None where it says none.

    ``en_ewt-ud-dev.conllu`` is of validation, ``test/a.conllu`` of test.
    """
    for part in reversed(PurePosixPath(file.lower()).parts):
        if found := _NAMED.findall(part.replace("_", "-")):
            return _SPLIT_OF.get(found[-1], "validation")
    return None


def _documents(
    file: str, found: Iterable[Sentence | Problem], problems: list[Problem]
) -> list[_Document]:
    """The documents of a file; what is malformed is added to `problems`."""
    by_name: dict[str, list[Sentence]] = {}
    bad: list[Problem] = []
    for one in found:
        if isinstance(one, Problem):
            bad.append(one)
        else:
            by_name.setdefault(one.document, []).append(one)
    if not by_name:
        what = f"{bad[0].message}; none" if bad else f"{file}: no sentence is there; none"
        raise CorpusError(f"{SETTING}: {what} of its {len(bad)} sentences can be used")
    problems += bad
    split = split_of_name(file)
    return [_Document(file, name, split, sentences) for name, sentences in by_name.items()]


def _without_repeats(documents: Sequence[_Document]) -> list[_Document]:
    """One of those with the same sentences; it is one that a split is named for if there is any."""
    chosen: dict[bytes, _Document] = {}
    for document in documents:
        hashed = hashlib.sha256()
        for sentence in document.sentences:
            hashed.update("\t".join([sentence.text, *sentence.forms, ""]).encode())
        known = chosen.setdefault(hashed.digest(), document)
        if known.split is None and document.split is not None:
            chosen[hashed.digest()] = document
    return list(chosen.values())


def _deal(
    documents: Sequence[_Document], seed: int
) -> tuple[dict[str, list[_Document]], tuple[str, ...]]:
    """The documents of each split, and which splits were drawn."""
    named = {document.split for document in documents} - {None}
    is_kept = "train" in named and len(named) > 1
    splits: dict[str, list[_Document]] = {split: [] for split in SPLITS}
    for document in documents:
        splits[(document.split if is_kept else None) or "train"].append(document)
    drawn = tuple(split for split in SPLITS[1:] if not splits[split])
    num_each = max(1, round(DRAWN_FRAC * len(splits["train"])))
    if len(splits["train"]) <= len(drawn):
        raise CorpusError(
            f"{SETTING}: {', '.join(drawn)} must be drawn from {len(splits['train'])} documents, "
            f"which needs {len(drawn) + 1}: give more text, or files named train, dev and test"
        )
    by_hash = sorted(splits["train"], key=lambda document: _hash(document, seed))
    home = {
        id(document): split
        for place, split in enumerate(drawn)
        for document in by_hash[place * num_each : (place + 1) * num_each]
    }
    for document in splits.pop("train"):
        splits.setdefault(home.get(id(document), "train"), []).append(document)
    return {split: splits[split] for split in SPLITS}, drawn


def _hash(document: _Document, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{document.file}\n{document.name}".encode()).digest()


def _numbered(
    splits: Mapping[str, Sequence[_Document]],
) -> dict[str, tuple[TreebankSentence, ...]]:
    number = 0
    numbered: dict[str, tuple[TreebankSentence, ...]] = {}
    for split, documents in splits.items():
        sentences = []
        for document in documents:
            sentences += [TreebankSentence(one, number) for one in document.sentences]
            number += 1
        numbered[split] = tuple(sentences)
    return numbered
