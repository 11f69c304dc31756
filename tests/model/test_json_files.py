"""JSON of other people: read, or refused by an error that callers expect."""

from pathlib import Path

import pytest

from model.json_files import parse_json, read_json


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    """JSON can spell it, and UTF-8 cannot: what is handed on would fail far from the file."""
    path = tmp_path / "settings.json"
    path.write_text('{"sep_token": ["\\uD800"]}', "ascii")
    with pytest.raises(ValueError, match="surrogates not allowed"):
        read_json(path)


def test_two_halves_are_a_character(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"mask_token": "\\ud83d\\ude00", "text": "\\\\ud800"}', "ascii")
    assert read_json(path) == {"mask_token": "\N{GRINNING FACE}", "text": "\\ud800"}


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * 10**6)


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_that_no_array_holds_is_refused(sign: str) -> None:
    assert float(parse_json(f"[{sign}{10**298}]")[0]) == float(f"{sign}1e298")
    with pytest.raises(ValueError, match=r"a number of 40[12] digits"):
        parse_json(f"[{sign}{10**400}]")
