"""Every Parquet page that is written carries a checksum, and every reader looks at it."""

import ast
from functools import cache

from tests.contracts.code import modules

OPTIONS = {
    "write_table": "write_page_checksum",
    "ParquetWriter": "write_page_checksum",
    "write_to_dataset": "write_page_checksum",
    "read_table": "page_checksum_verification",
    "ParquetFile": "page_checksum_verification",
    "ParquetDataset": "page_checksum_verification",
}
# Writes an empty table to memory, to see whether Parquet can hold a type.
NO_FILE = "tasks/ingest/tables/arrow_types.py"


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """All of our code, each node with its file."""
    return [(path, node) for path, tree in modules() for node in ast.walk(tree)]


def test_every_call_of_the_parquet_library_asks_for_checksums() -> None:
    calls = [
        (path, node) for path, node in nodes() if isinstance(node, ast.Call) and option_of(node)
    ]
    assert len(calls) > 20
    assert not [
        f"{path}:{call.lineno}"
        for path, call in calls
        if option_of(call) not in {each.arg for each in call.keywords if is_true(each.value)}
        and path != NO_FILE
    ]


def test_nothing_else_reads_or_writes_parquet() -> None:
    others = {"write_parquet", "sink_parquet", "to_parquet", "write_dataset"}
    assert not [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if (isinstance(node, ast.Attribute) and node.attr in others)
        or (isinstance(node, ast.ImportFrom) and node.module == "pyarrow.parquet")
        or (isinstance(node, ast.alias) and node.name == "parquet")
        or (isinstance(node, ast.alias) and node.name == "pyarrow.parquet" and node.asname != "pq")
    ]


def option_of(call: ast.Call) -> str | None:
    module, _, name = ast.unparse(call.func).partition(".")
    return OPTIONS.get(name) if module == "pq" else None


def is_true(value: ast.expr) -> bool:
    return ast.unparse(value) == "True"
