"""An artifact made from several artifacts of one stage: named, traced and kept."""

import pytest

from tasks.store.artifact import Artifact
from tasks.store.identity import stage_of_input
from tasks.store.store import Store
from tests.tasks.store.making import identity_of, make


@pytest.fixture
def made(store: Store) -> dict[str, Artifact]:
    parts = {name: make(store, identity_of("evaluate", part=name)) for name in ("half", "eighth")}
    inputs = {f"evaluate/{name}": part for name, part in parts.items()}
    return parts | {"forecast": make(store, identity_of("forecast", inputs), inputs=inputs)}


def test_an_inputs_name_says_its_stage() -> None:
    assert stage_of_input("evaluate/half") == stage_of_input("evaluate") == "evaluate"


def test_lineage_finds_them_all(store: Store, made: dict[str, Artifact]) -> None:
    chain = store.lineage(made["forecast"].path)
    assert {link["path"] for link in chain} == {artifact.ref.path for artifact in made.values()}
    assert all(link["present"] for link in chain)


def test_they_are_no_garbage_while_a_run_refers_to_what_was_made_of_them(
    store: Store, made: dict[str, Artifact]
) -> None:
    loose = make(store, identity_of("evaluate", part="loose"))
    refs = {"forecast": made["forecast"].ref.model_dump(include={"input_id"})}
    store.workspace.write_run("run", {"artifacts": refs})
    assert [path for path, _ in store.collect_garbage(older_than_days=0.0)] == [loose.path]
