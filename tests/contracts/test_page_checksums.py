"""Every Parquet page that is written carries a checksum, and every reader looks at it."""

import ast

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


def test_every_call_of_the_parquet_library_asks_for_checksums() -> None:
    calls = [
        (path, node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and option_of(node)
    ]
    assert len(calls) > 20
    assert not [
        f"{path}:{call.lineno}"
        for path, call in calls
        if option_of(call) not in {each.arg for each in call.keywords if is_true(each.value)}
        and path != NO_FILE
    ]


def option_of(call: ast.Call) -> str | None:
    module, _, name = ast.unparse(call.func).partition(".")
    return OPTIONS.get(name) if module == "pq" else None


def is_true(value: ast.expr) -> bool:
    return ast.unparse(value) == "True"
