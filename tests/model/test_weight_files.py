"""Weight files are looked at before they are read, whatever lies in them."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.errors import ArtifactError
from model.weight_files import read_tensors, refuse_misfit, stored_tensors, weight_files

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(4.0), "c": torch.ones(5)}


def write_shards(folder: Path, weight_map: dict[str, str] | None = None) -> None:
    save_file({name: TENSORS[name] for name in "ab"}, folder / "one.safetensors")
    save_file({"c": TENSORS["c"]}, folder / "two.safetensors")
    told = weight_map or {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": told}))


def test_a_whole_file_is_described_and_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    stored = stored_tensors(tmp_path)
    assert {name: tensor.shape for name, tensor in stored.items()} == {
        "a": (2, 3),
        "b": (4,),
        "c": (5,),
    }
    assert sum(tensor.num_elements for tensor in stored.values()) == 15
    read = read_tensors({"other name": stored["b"]})
    assert list(read) == ["other name"]
    assert torch.equal(read["other name"], TENSORS["b"])


def test_shards_are_one_model(tmp_path: Path) -> None:
    write_shards(tmp_path)
    assert [path.name for path in weight_files(tmp_path)] == ["one.safetensors", "two.safetensors"]
    read = read_tensors(stored_tensors(tmp_path))
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.randn(40, generator=torch.Generator().manual_seed(0)).to(dtype)
    save_file({"a": values}, tmp_path / WEIGHTS)
    read = read_tensors(stored_tensors(tmp_path))["a"]
    assert read.dtype == torch.float32
    assert torch.equal(read, values.double().float())


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, torch.float8_e4m3fn])
def test_other_types_are_refused(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"a": torch.ones(3).to(dtype)}, tmp_path / WEIGHTS)
    with pytest.raises(ArtifactError, match=r"a has type .* not one of F32, BF16, F16"):
        stored_tensors(tmp_path)


def headed(header: bytes, length: int | None = None, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + content


BAD_FILES = {
    "empty": b"",
    "no header": b"\x00\x01",
    "absurd length": headed(b"{}", length=2**63),
    "long header": headed(b"{}", length=2**31),
    "no JSON": headed(b"not json at all!"),
    "a pickle": b"\x80\x04\x95\x10" + b"\x00" * 40,
    "content missing": headed(b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'),
    "shape and bytes differ": headed(
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}}', content=b"\x00" * 12
    ),
    "offsets overlap": headed(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}',
        content=b"\x00" * 6,
    ),
    "absurd shape": headed(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'
    ),
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_damaged_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors is damaged"):
        stored_tensors(tmp_path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    whole = (tmp_path / WEIGHTS).read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / WEIGHTS).write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="is damaged"):
            stored_tensors(tmp_path)


@pytest.mark.parametrize(
    ("weight_map", "complaint"),
    [
        ({"a": "../one.safetensors"}, "must name .safetensors files beside it"),
        ({"a": "one.bin"}, "must name .safetensors files beside it"),
        ({"a": 1}, "must name .safetensors files beside it"),
        ({"a": "three.safetensors"}, r"three\.safetensors is missing"),
        ({"a": "one.safetensors", "c": "two.safetensors"}, "b is not in the file it names"),
        ({"a": "two.safetensors", "b": "one.safetensors"}, "a is not in the file it names"),
    ],
)
def test_a_wrong_list_of_shards_is_refused(
    weight_map: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    write_shards(tmp_path, weight_map)
    with pytest.raises(ArtifactError, match=complaint):
        stored_tensors(tmp_path)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path)
    save_file(TENSORS, tmp_path / "two.safetensors")
    with pytest.raises(ArtifactError, match=r"holds a, and so does one\.safetensors"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", "no", '{"weight_map": []}'])
def test_an_index_of_another_form_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(ArtifactError, match=r"index\.json"):
        weight_files(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json"])
def test_pickles_are_named_and_not_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match=rf"{name} is a pickle.*save_pretrained"):
        weight_files(tmp_path)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / WEIGHTS)
    stored = stored_tensors(tmp_path)
    shapes = {"a": (2, 3), "b": (4,), "c": (5,)}
    refuse_misfit(stored, shapes, tmp_path)
    with pytest.raises(ArtifactError, match="missing or unexpected d;"):
        refuse_misfit(stored, {**shapes, "d": (1,)}, tmp_path)
    with pytest.raises(ArtifactError, match=r"a has shape \[2, 3\] where .* asks for \[3, 2\]"):
        refuse_misfit(stored, {**shapes, "a": (3, 2)}, tmp_path)
