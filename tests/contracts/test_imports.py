"""Imports go one way: flows -> tasks -> model; stages do not know each other."""

from tests.contracts.code import imports, modules

STAGES = {
    *("ingest", "vocab", "tokenize", "pretrain", "tune"),
    *("probe", "evaluate", "export", "forecast", "drift"),
}


def offenders(package: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path} imports {name}"
        for path, tree in modules(package)
        for name in imports(tree)
        if name.split(".")[0] in forbidden
    ]


def test_model_knows_neither_tasks_nor_flows_nor_services() -> None:
    assert not offenders("model", {"tasks", "flows", "prefect", "mlflow", "pyarrow", "pydantic"})


def test_tasks_do_not_know_flows_nor_prefect() -> None:
    assert not offenders("tasks", {"flows", "prefect"})


def test_only_tracking_imports_mlflow() -> None:
    found = [line for package in ("tasks", "flows") for line in offenders(package, {"mlflow"})]
    assert found, "the tracker imports mlflow; if it does not, this test looks in the wrong place"
    assert not [line for line in found if not line.startswith("tasks/tracking/")]


def test_stages_do_not_import_each_other() -> None:
    found = []
    for path, tree in modules("tasks"):
        stage = path.split("/")[1]
        for name in imports(tree):
            parts = name.split(".")
            if stage in STAGES and parts[0] == "tasks" and len(parts) > 1:
                found += [f"{path} imports {name}"] if parts[1] in STAGES - {stage} else []
    assert not found
