"""What pads, frames and masks is found wherever the writers of a tokenizer say it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, processors

from model.errors import ArtifactError
from tasks.special_roles import special_ids

TOKENS = ["<s>", "</s>", "<pad>", "<mask>", "<unk>", "[CLS]", "[MASK]", "plain", "<|end|>"]
IDS = {name: number for number, name in enumerate(TOKENS)}


def tokenizer(*, unknown: str | None = None, special: tuple[str, ...] = ()) -> Tokenizer:
    made = Tokenizer(models.WordLevel(IDS, unk_token=unknown or "nothing"))
    made.add_special_tokens([AddedToken(name) for name in special])
    return made


def told(folder: Path, made: Tokenizer, **files: dict[str, Any]) -> dict[str, int]:
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return special_ids(folder, made)


def test_names_are_read_plain_and_spelled_out(tmp_path: Path) -> None:
    names = {"cls_token": "<s>", "mask_token": {"content": "<mask>", "lstrip": True}, "x": 1}
    found = told(tmp_path, tokenizer(), tokenizer_config=names)
    assert found == {"cls": IDS["<s>"], "mask": IDS["<mask>"]}


def test_the_older_file_is_asked_second(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        tokenizer(),
        special_tokens_map={"mask_token": "<mask>", "pad_token": "<pad>"},
        tokenizer_config={"mask_token": "[MASK]", "pad_token": None},
    )
    assert found == {"mask": IDS["[MASK]"], "pad": IDS["<pad>"]}


def test_names_of_no_token_tell_nothing(tmp_path: Path) -> None:
    found = told(tmp_path, tokenizer(), tokenizer_config={"mask_token": "<gone>"})
    assert found == {}


def test_the_model_says_its_unknown_token(tmp_path: Path) -> None:
    assert told(tmp_path, tokenizer(unknown="<unk>")) == {"unk": IDS["<unk>"]}


FRAME = [("<s>", 0), ("</s>", 1)]


@pytest.mark.parametrize(
    "processor",
    [
        processors.TemplateProcessing(single="<s> $A </s>", special_tokens=FRAME),
        processors.BertProcessing(("</s>", 1), ("<s>", 0)),
        processors.RobertaProcessing(("</s>", 1), ("<s>", 0)),
        processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing(single="<s> $A </s>", special_tokens=FRAME),
            ]
        ),
    ],
)
def test_the_frame_is_read_from_the_post_processor(processor: Any, tmp_path: Path) -> None:
    made = tokenizer()
    made.post_processor = processor
    assert told(tmp_path, made) == {"cls": 0, "sep": 1}


def test_a_frame_on_one_side_tells_one_role(tmp_path: Path) -> None:
    made = tokenizer()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=FRAME[1:])
    assert told(tmp_path, made) == {"sep": 1}


def test_ids_count_where_they_are_of_special_tokens(tmp_path: Path) -> None:
    made = tokenizer(special=("<|end|>",))
    ids = {"pad_token_id": IDS["<|end|>"], "cls_token_id": IDS["plain"], "sep_token_id": 50282}
    assert told(tmp_path, made, config=ids) == {"pad": IDS["<|end|>"]}


def test_begin_and_end_stand_in_for_the_frame(tmp_path: Path) -> None:
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "[CLS]"}
    found = told(tmp_path, tokenizer(), tokenizer_config=names)
    assert found == {"cls": IDS["[CLS]"], "sep": IDS["</s>"]}


def test_usual_names_count_last_and_only_of_special_tokens(tmp_path: Path) -> None:
    assert told(tmp_path, tokenizer()) == {}
    made = tokenizer(special=("<mask>", "[MASK]", "<pad>"))
    assert told(tmp_path, made) == {"mask": IDS["[MASK]"], "pad": IDS["<pad>"]}


@pytest.mark.parametrize("content", ["[]", "no"])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "special_tokens_map.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"special_tokens_map\.json is no"):
        special_ids(tmp_path, tokenizer())
