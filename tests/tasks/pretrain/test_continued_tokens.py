"""Each token of an adopted vocabulary finds the row that it had, whatever kind it is of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from model.errors import ArtifactError, RequestError
from tasks.pretrain.continued_tokens import GUARD, TokenRows, token_rows
from tasks.vocab import special
from tasks.vocab.adopt import adopt_tokenizer
from tests.tasks.vocab.given_tokenizers import GIVEN, gpt2, xlm
from tests.tasks.vocab.library_texts import texts

MASK = "<|gap|>"


def given(folder: Path, tokenizer: Tokenizer) -> Path:
    """A folder with this tokenizer and a mask of its own."""
    tokenizer.add_special_tokens([MASK])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": MASK}))
    return folder


def adopted(folder: Path) -> Path:
    path = folder / "adopted.json"
    path.write_text(adopt_tokenizer(folder / "tokenizer.json", pad_to_multiple=64), "utf-8")
    return path


def rows_of(folder: Path, path: Path) -> TokenRows:
    ours, theirs = (Tokenizer.from_file(str(each)) for each in (path, folder / "tokenizer.json"))
    return token_rows(
        path, folder, num_tokens=ours.get_vocab_size(), num_given=theirs.get_vocab_size()
    )


@pytest.mark.parametrize("kind", GIVEN)
def test_tokens_of_a_text_keep_their_rows(kind: str, tmp_path: Path) -> None:
    folder = given(tmp_path, GIVEN[kind]())
    path = adopted(folder)
    rows = rows_of(folder, path)
    theirs, ours = (Tokenizer.from_file(str(each)) for each in (folder / "tokenizer.json", path))
    for text in texts()[:-2]:  # the last two hold names of special tokens
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert [rows.given_ids[token_id] for token_id in ours.encode(text).ids] == expected
    assert rows.given_ids[4] == theirs.token_to_id(MASK)
    assert rows.num_new == rows.given_ids.count(-1)
    assert len(set(rows.given_ids) - {-1}) + rows.num_dropped == theirs.get_vocab_size()


def test_nothing_moves_between_equal_vocabularies(tmp_path: Path) -> None:
    path = adopted(given(tmp_path, gpt2()))
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "tokenizer.json").write_bytes(path.read_bytes())
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    settings = {f"{role}_token": name for role, name in names.items()}
    (ours / "tokenizer_config.json").write_text(json.dumps(settings))
    rows = rows_of(ours, path)
    assert rows.given_ids == tuple(range(rows.num_given))
    assert (rows.num_new, rows.num_dropped, rows.message) == (0, 0, "")


def test_what_has_no_row_is_said(tmp_path: Path) -> None:
    folder = given(tmp_path, gpt2())
    rows = rows_of(folder, adopted(folder))
    # Both have 700 byte-level tokens and a mask. Theirs has one special token more, ours four, and
    # 63 unused ones.
    assert (len(rows.given_ids), rows.num_given) == (768, 702)
    assert rows.missing_roles == ("pad", "unk", "cls", "sep")
    assert "701 tokens keep their rows" in rows.message
    assert "67 that are new (among them pad, unk, cls, sep) begin at the mean" in rows.message
    assert "1 rows of the given table are left out" in rows.message


def set_model(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["model"].__setitem__(key, value)


def other_case(content: dict[str, Any]) -> None:
    content["normalizer"] = {"type": "Lowercase"}


def other_cuts(content: dict[str, Any]) -> None:
    content["pre_tokenizer"]["add_prefix_space"] = True


def fewer_merges(content: dict[str, Any]) -> None:
    content["model"]["merges"].pop()


def further_token(content: dict[str, Any]) -> None:
    content["model"]["vocab"]["another"] = 5000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (other_case, "its normalizer differs"),
        (other_cuts, "its pre_tokenizer differs"),
        (fewer_merges, "its model's merges differs"),
        (set_model("ignore_merges", True), "its model's ignore_merges differs"),
        (set_model("unk_token", "a"), "its model's unk_token differs"),
        (further_token, "it has the token 'another' besides"),
    ],
)
def test_another_vocabulary_is_refused(
    change: Callable[[dict[str, Any]], None], complaint: str, tmp_path: Path
) -> None:
    folder = given(tmp_path, gpt2())
    path = adopted(folder)
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(RequestError, match=f"another vocabulary: {complaint}; set vocab.tokenizer"):
        rows_of(folder, path)


def test_a_token_that_the_given_one_lacks_is_named(tmp_path: Path) -> None:
    folder = given(tmp_path, gpt2())
    path = adopted(folder)
    for each in (path, folder / "tokenizer.json"):
        content = json.loads(each.read_text("utf-8"))
        content["model"]["merges"] = []
        if each == path:
            content["model"]["vocab"] |= {"more": 768, "still more": 769}
        each.write_text(json.dumps(content), "utf-8")
    with pytest.raises(RequestError, match="it lacks the token 'more' and 1 others"):
        rows_of(folder, path)


def test_other_scores_are_another_vocabulary(tmp_path: Path) -> None:
    folder = given(tmp_path, xlm())
    path = adopted(folder)
    content = json.loads(path.read_text("utf-8"))
    content["model"]["vocab"][100][1] -= 0.5
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(RequestError, match=r"its score of .* differs"):
        rows_of(folder, path)


def test_without_a_mask_nothing_can_go_on(tmp_path: Path) -> None:
    folder = given(tmp_path, gpt2())
    path = adopted(folder)
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(RequestError, match='which token is its mask; write "mask_token"'):
        rows_of(folder, path)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = given(tmp_path, gpt2())
    path = adopted(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is no tokenizer"):
        token_rows(path, folder, num_tokens=768, num_given=702)


def test_the_guard_is_the_one_that_the_vocab_stage_adds() -> None:
    assert special.GUARD == GUARD
