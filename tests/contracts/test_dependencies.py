"""The two files that say what is installed agree, and hold on every machine."""

import re
import tomllib

from packaging.requirements import Requirement

from tests.contracts.code import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_constrained_within_its_range() -> None:
    pins = {normal(name): version for name, version in PINS.items()}
    direct = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, direct):
        assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement.name


def test_no_pin_names_a_build_that_one_machine_has() -> None:
    """A local version (``1.0+cpu``) is in no public registry; the plain one accepts it too."""
    assert not {name: version for name, version in PINS.items() if "+" in version}
