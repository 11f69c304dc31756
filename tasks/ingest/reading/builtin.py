"""The built-in corpus: documentation strings of the running Python's standard library.

The source files are parsed, never imported. One document for each module, each function at its
top level, and each class together with its methods.
"""

import ast
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from tasks.ingest.reading.records import Reason, Record, Refusal

BUILTIN_COLUMNS = ("text", "module", "kind", "name")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Documented(NamedTuple):
    kind: str
    name: str
    text: str


def read_builtin(pieces: Iterable[bytes], *, source: str) -> Iterator[Record | Refusal]:
    """The documentation in one file, with ids like ``gzip.py#open``.

    A name defined again gets a number (``#open~2``); a module goes by its file's name.
    """
    try:
        tree = ast.parse(b"".join(pieces))
    except (SyntaxError, ValueError, RecursionError):
        yield Refusal(None, Reason.BAD_PYTHON)
        return
    module = _module_name(source)
    times: Counter[str] = Counter()
    for number, (kind, name, text) in enumerate(_documented(tree, module)):
        times[name] += 1
        again = f"~{times[name]}" if times[name] > 1 else ""
        doc_id = source if kind == "module" else f"{source}#{name}{again}"
        values = dict(zip(BUILTIN_COLUMNS, (text, module, kind, name), strict=True))
        yield Record(number, None, values, doc_id)


def _documented(tree: ast.Module, module: str) -> Iterator[_Documented]:
    if text := _documentation(tree):
        yield _Documented("module", module, text)
    for node in tree.body:
        if isinstance(node, _Function) and (text := _documentation(node)):
            yield _Documented("function", node.name, text)
        elif isinstance(node, ast.ClassDef) and (text := _class_text(node)):
            yield _Documented("class", node.name, text)


def _class_text(node: ast.ClassDef) -> str:
    """The class's documentation and its methods', each under its name."""
    methods = [member for member in node.body if isinstance(member, _Function)]
    named = [(node.name, _documentation(node))]
    named += [(f"{node.name}.{method.name}", _documentation(method)) for method in methods]
    return "\n\n".join(f"{name}\n{text}" for name, text in named if text)


def _documentation(node: ast.Module | ast.ClassDef | _Function) -> str:
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()


def _module_name(source: str) -> str:
    parts = PurePosixPath(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
