"""The house keeps its proportions: short functions, described modules, whole type hints."""

import ast
import statistics
from collections.abc import Iterator

from tests.contracts.code import modules

MAX_FUNCTION_LINES = 50
MAX_MODULE_LINES = 350
BANNED_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the function without its docstring."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def test_functions_are_short() -> None:
    lengths = {place: code_lines(node) for place, node in functions()}
    assert not {place: lines for place, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
    assert statistics.median(lengths.values()) <= 12


def test_modules_say_what_they_are_for_and_stay_short() -> None:
    undescribed = [path for path, tree in modules() if not ast.get_docstring(tree)]
    assert not undescribed
    too_long = [
        path
        for path, tree in modules()
        if tree.body and (tree.body[-1].end_lineno or 0) > MAX_MODULE_LINES
    ]
    assert not too_long


def test_public_functions_say_what_they_do() -> None:
    silent = [
        f"{path} {node.name}"
        for path, tree in modules()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_no_module_is_named_for_leftovers() -> None:
    assert not [path for path, _ in modules() if path.split("/")[-1][:-3] in BANNED_NAMES]
