"""A page that cannot be made ends nothing, and a password on the way there is told to nobody."""

from flows.harmless import harmless


def test_what_goes_wrong_is_one_line_without_a_password() -> None:
    told: list[str] = []
    with harmless("vocab: its summary could not be shown in Prefect", told.append):
        raise OSError("http://ops:hunter2@prefect/api is away\nand more")
    assert told == [
        "vocab: its summary could not be shown in Prefect: OSError: http://prefect/api is away"
    ]
