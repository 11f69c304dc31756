"""Nothing we read or write is a pickle, and no data is ever run as code."""

import ast

import pytest

from tests.contracts.code import imports, modules

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    *("torch.load", "torch.save", "yaml.load", "yaml.full_load", "yaml.unsafe_load"),
    *("eval", "exec", "compile", "__import__"),
}
# Where a name that is imported is no constant: stages name modules of ours in their definitions,
# and the tracker those of MLflow's that it will need.
NAMES_MODULES = {"tasks/stage.py", "tasks/tracking/delivery.py"}


def calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_module_that_pickles_is_imported() -> None:
    found = [
        f"{path}: {name}"
        for path, tree in modules()
        for name in imports(tree)
        if name.split(".")[0] in MODULES
    ]
    assert not found


def test_no_call_loads_code_from_data() -> None:
    found = [
        f"{path}: {name}" for path, tree in modules() for name, _ in calls(tree) if name in CALLS
    ]
    assert not found


def test_no_module_is_imported_by_a_name_from_data() -> None:
    found = {
        path
        for path, tree in modules()
        for name, call in calls(tree)
        if name.split(".")[-1] == "import_module" and not isinstance(call.args[0], ast.Constant)
    }
    assert found == NAMES_MODULES


@pytest.mark.parametrize("permission", ["trust_remote_code", "allow_pickle"])
def test_no_library_is_permitted_to_run_what_it_reads(permission: str) -> None:
    found = [
        path
        for path, tree in modules()
        for _, call in calls(tree)
        for keyword in call.keywords
        if keyword.arg == permission and ast.unparse(keyword.value) != "False"
    ]
    assert not found
