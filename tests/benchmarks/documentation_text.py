"""Makes a corpus of real text with many distinct words from the documentation that is installed.

    python -m tests.benchmarks.documentation_text /tmp/documents.jsonl --megabytes 100

Reads HTML, plain text, man pages, info files and dictionaries below /usr/share, and the docstrings
of the running Python's library, whatever there is; more packages of documentation give more text.
Lines of at least 25 characters are kept, each once in the whole corpus, and no package may fill
more than a small part of it. The same files and seed give the same bytes.
"""

import argparse
import ast
import gzip
import hashlib
import json
import re
import sys
import sysconfig
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any

import lxml.html
import numpy as np
import regex
from lxml import etree

from model.bpe.tokenizer import PATTERNS

MIN_LINE_CHARACTERS = 25
PART_BYTES = 40_000
MAX_FILE_BYTES = 100_000_000

ROOTS = [
    "/usr/share/doc",
    "/usr/share/info",
    "/usr/share/man",
    "/usr/share/dictd",
    "/usr/share/games/fortunes",
]
_HTML = {".html", ".htm", ".xhtml"}
_PLAIN = {"", ".txt", ".text", ".rst", ".md", ".info", ".dict", ".pod", ".adoc"}
_MAN = re.compile(r"\.[1-9][a-z]*")
_INFO_PART = re.compile(r"\.info-\d+")
_NO_PROSE = re.compile(r"changelog|copyright|makefile|.*\.svg", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")
_BLOCKS = set(
    "address article aside blockquote body br caption dd div dl dt figcaption footer form h1 h2 h3 "
    "h4 h5 h6 header hr li main nav ol p pre section table tbody td tfoot th thead tr ul".split()
)
_SKIPPED = {"script", "style", "head", "svg", "noscript", "template", "math"}

_ROFF_ESCAPES = [
    (re.compile(r"\\[\"#].*"), ""),
    (re.compile(r"\\[*fFnsk](?:\[[^\]]*\]|\(..|[-+]?.)"), ""),
    (re.compile(r"\\\(aq|\\\[aq\]|\\'"), "'"),
    (re.compile(r"\\\((?:lq|rq|dq)|\\\[(?:lq|rq|dq)\]"), '"'),
    (re.compile(r"\\(?:\((?:en|em|mi|hy)|\[(?:en|em|mi|hy)\]|-)"), "-"),
    (re.compile(r"\\(?:\(..|\[[^\]]*\]|[hvwL]'[^']*')"), " "),
    (re.compile(r"\\[&/,:%|^)!]|\\$"), ""),
    (re.compile(r"\\[~ 0]"), " "),
    (re.compile(r"\\[e\\]"), r"\\"),
]
_ROFF_INLINE = {"B", "I", "R", "BR", "BI", "RB", "RI", "IR", "IB", "SM", "SB"}
_ROFF_INLINE |= set("Nm Fl Ar Xr Pa Em Sy Li Va Dv Ev Er Fn Fa Cm Ic Op Ns Pq Dq Sq Ql Qq".split())
_ROFF_TITLES = {"SH", "SS", "Sh", "Ss", "IP", "It", "Nd"}

Documents = list[tuple[str, str]]  # id and text


def main() -> None:
    """Write the corpus, then print what it is made of."""
    arguments = parse_arguments()
    roots = [Path(root) for root in arguments.root or ROOTS]
    sources = {**gather_sources(roots), **python_sources()}
    documents = draw(
        sources, int(arguments.megabytes * 1e6), arguments.max_source_frac, arguments.seed
    )
    write_documents(arguments.path, documents)
    for megabytes, path in arguments.first:
        write_documents(Path(path), first_of(documents, int(float(megabytes) * 1e6)))
    sys.stdout.write(json.dumps(describe(documents), indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="JSON lines to write")
    parser.add_argument("--megabytes", type=float, default=100, help="of text, in 10^6 bytes")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the documents")
    parser.add_argument("--max-source-frac", type=float, default=0.06, help="of one package")
    parser.add_argument("--root", action="append", help="a folder to read, in place of /usr/share")
    parser.add_argument(
        "--first",
        nargs=2,
        action="append",
        default=[],
        metavar=("MEGABYTES", "PATH"),
        help="also write the beginning into another file",
    )
    return parser.parse_args()


def gather_sources(roots: Iterable[Path]) -> dict[str, list[Path]]:
    """Name of each source (a package, a dictionary, a language's man pages) -> its files."""
    sources: dict[str, list[Path]] = defaultdict(list)
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and reader_of(path) is not None:
                first, *rest = path.relative_to(root).parts
                name = first if rest else first.partition(".")[0]
                sources[f"{root.name}/{name}"].append(path)
    return dict(sources)


def python_sources() -> dict[str, list[Path]]:
    """The modules of the standard library, and of what is installed beside it."""
    folders = sysconfig.get_paths()
    standard = Path(folders["stdlib"]).rglob("*.py")
    return {
        "python/stdlib": sorted(path for path in standard if "site-packages" not in path.parts),
        "python/purelib": sorted(Path(folders["purelib"]).rglob("*.py")),
    }


def reader_of(path: PurePath) -> Callable[[bytes], Iterator[str]] | None:
    """What finds the lines of such a file; none for what is no prose."""
    name = path.name
    if name.endswith((".gz", ".dz")):
        name = name[:-3]
    suffix = PurePath(name).suffix.lower()
    if _NO_PROSE.match(name):
        return None
    if suffix in _HTML:
        return html_lines
    if suffix == ".py":
        return docstring_lines
    if _MAN.fullmatch(suffix) and "man" in path.parts:
        return roff_lines
    return plain_lines if suffix in _PLAIN or _INFO_PART.fullmatch(suffix) else None


def draw(
    sources: dict[str, list[Path]], num_bytes: int, max_source_frac: float, seed: int
) -> Documents:
    """Documents of `num_bytes` in all, in an order that the seed decides.

    Raises:
        SystemExit: the installed documentation has less.
    """
    rng = np.random.default_rng(seed)
    seen: set[bytes] = set()
    documents: Documents = []
    for name in sorted(sources):
        wanted = max_source_frac * num_bytes
        paths = sources[name]
        for number in rng.permutation(len(paths)):
            if wanted <= 0:
                break
            for part, text in enumerate(parts(unseen(lines_of(paths[number]), seen))):
                documents.append((f"{name}:{paths[number]}#{part}", text))
                wanted -= len(text.encode())
                if wanted <= 0:
                    break
    shuffled = [documents[number] for number in rng.permutation(len(documents))]
    chosen = first_of(shuffled, num_bytes)
    if sum(len(text.encode()) for _, text in chosen) < num_bytes:
        found = sum(len(text.encode()) for _, text in chosen) / 1e6
        raise SystemExit(
            f"only {found:.1f} MB of text found: install more packages of documentation, "
            "or allow more of each with --max-source-frac"
        )
    return chosen


def lines_of(path: Path) -> Iterator[str]:
    """The lines of one file; none when it cannot be read as what its name says it is."""
    reader = reader_of(path)
    if reader is None or path.stat().st_size > MAX_FILE_BYTES:
        return
    try:
        data = path.read_bytes()
        if path.suffix in (".gz", ".dz"):
            data = gzip.decompress(data)
        yield from reader(data)
    except (OSError, EOFError, ValueError, SyntaxError, etree.LxmlError):
        return


def unseen(lines: Iterable[str], seen: set[bytes]) -> Iterator[str]:
    """The lines that are long enough and stand nowhere before."""
    for line in lines:
        stripped = line.strip()
        if len(stripped) < MIN_LINE_CHARACTERS:
            continue
        digest = hashlib.blake2b(stripped.encode(), digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            yield line.rstrip()


def parts(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined into texts of about 40 kB at the most."""
    held: list[str] = []
    num_bytes = 0
    for line in lines:
        held.append(line)
        num_bytes += len(line.encode()) + 1
        if num_bytes >= PART_BYTES:
            yield "\n".join(held)
            held, num_bytes = [], 0
    if held:
        yield "\n".join(held)


def first_of(documents: Documents, num_bytes: int) -> Documents:
    """The first documents until there are `num_bytes` of text; the last one is not cut."""
    chosen: Documents = []
    for document in documents:
        if num_bytes <= 0:
            break
        chosen.append(document)
        num_bytes -= len(document[1].encode())
    return chosen


def plain_lines(data: bytes) -> Iterator[str]:
    """The lines of a text that are UTF-8; none of what is no text."""
    if b"\x00" in data:
        return
    for line in data.decode("utf-8", "replace").splitlines():
        if "\ufffd" not in line:
            yield _CONTROLS.sub("", line)


def html_lines(data: bytes) -> Iterator[str]:
    """The text of each block of a page; lines of preformatted text stand for themselves."""
    pieces: list[str] = []
    is_preformatted = 0
    for event, node in etree.iterwalk(_body(data), events=("start", "end")):
        tag = node.tag
        if event == "start":
            is_preformatted += tag == "pre"
            pieces.append("\n" if tag in _BLOCKS else "")
            pieces.append(_inner(node.text, is_preformatted))
        else:
            is_preformatted -= tag == "pre"
            pieces.append("\n" if tag in _BLOCKS else "")
            pieces.append(_inner(node.tail, is_preformatted))
    yield from "".join(pieces).split("\n")


def _body(data: bytes) -> Any:
    data.decode("utf-8")  # pages in other encodings are left out
    parser = lxml.html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = lxml.html.document_fromstring(data, parser=parser)
    for node in root.xpath(" | ".join(f"//{tag}" for tag in sorted(_SKIPPED))):
        if node.getparent() is not None:
            node.drop_tree()
    return root


def _inner(text: str | None, is_preformatted: int) -> str:
    if not text:
        return ""
    return text if is_preformatted else re.sub(r"\s+", " ", text)


def docstring_lines(data: bytes) -> Iterator[str]:
    """The lines of all docstrings of a Python module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's code
        tree = ast.parse(data)
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield from text.splitlines()


def roff_lines(data: bytes) -> Iterator[str]:
    """The paragraphs of a man page, without its requests."""
    held: list[str] = []
    for line in data.decode("utf-8").splitlines():
        name, text = _roff_request(line)
        if name is None or name in _ROFF_INLINE:
            held.append(text)
            if text:
                continue
        yield " ".join(held)
        held = [text] if name in _ROFF_TITLES else []
    yield " ".join(held)


def _roff_request(line: str) -> tuple[str | None, str]:
    """The name of a line's request, if it is one, and the line's text."""
    name, rest = None, line
    if line[:1] in (".", "'"):
        name, _, rest = line[1:].strip().partition(" ")
        rest = rest.replace('" "', " ").strip('" ')
    for escape, replacement in _ROFF_ESCAPES:
        rest = escape.sub(replacement, rest)
    return name, rest.strip()


def write_documents(path: Path, documents: Documents) -> None:
    """One object a line, with `id` and `text`."""
    with path.open("w", encoding="utf-8") as file:
        for document_id, text in documents:
            file.write(json.dumps({"id": document_id, "text": text}, ensure_ascii=False) + "\n")


def describe(documents: Documents) -> dict[str, Any]:
    """Sizes, numbers of distinct words, and megabytes of each source."""
    cut = regex.compile(PATTERNS["gpt2"]).findall
    words: set[str] = set()
    pretokens: set[str] = set()
    num_pretokens = 0
    num_bytes: Counter[str] = Counter()
    for document_id, text in documents:
        found = cut(text)
        num_pretokens += len(found)
        pretokens.update(found)
        words.update(text.split())
        num_bytes[document_id.partition(":")[0]] += len(text.encode())
    return {
        "num_documents": len(documents),
        "megabytes": round(num_bytes.total() / 1e6, 2),
        "num_lines": sum(text.count("\n") + 1 for _, text in documents),
        "num_distinct_words": len(words),
        "num_pretokens": num_pretokens,
        "num_distinct_pretokens": len(pretokens),
        "megabytes_by_source": {
            name: round(size / 1e6, 3) for name, size in num_bytes.most_common()
        },
    }


if __name__ == "__main__":
    main()
