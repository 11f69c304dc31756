import pytest

from model.config import EncoderConfig
from model.errors import RequestError

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_layers": 6,
    "num_heads": 4,
    "intermediate_size": 48,
}


def test_full_layers_come_at_regular_distances() -> None:
    config = EncoderConfig(**SIZES, global_attn_every_n_layers=3)
    assert [config.is_full_layer(layer) for layer in range(6)] == [True, False, False] * 2
    assert all(EncoderConfig(**SIZES).is_full_layer(layer) for layer in range(6))


@pytest.mark.parametrize("num_heads", [3, 5, 32])
def test_heads_must_divide_the_width_evenly(num_heads: int) -> None:
    with pytest.raises(RequestError, match=f"num_heads = {num_heads} does not divide"):
        EncoderConfig(**{**SIZES, "num_heads": num_heads})


@pytest.mark.parametrize("name", ["num_layers", "num_heads", "vocab_size", "local_attention"])
def test_sizes_are_positive(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} = 0"):
        EncoderConfig(**{**SIZES, name: 0})


def test_special_ids_are_in_the_vocabulary() -> None:
    with pytest.raises(RequestError, match="no room for the special ids"):
        EncoderConfig(**{**SIZES, "vocab_size": 4})


@pytest.mark.parametrize("special", [{"mask_id": 64}, {"pad_id": -1}, {"cls_id": None}])
def test_special_ids_are_rows_of_the_table(special: dict[str, object]) -> None:
    with pytest.raises(RequestError, match="no room for the special ids"):
        EncoderConfig(**{**SIZES, **special})


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1e-5", None])
@pytest.mark.parametrize("name", ["norm_eps", "global_rope_theta", "initializer_range"])
def test_constants_are_positive_numbers(name: str, value: object) -> None:
    with pytest.raises(RequestError, match=f"{name} = .* must be a number above 0"):
        EncoderConfig(**{**SIZES, name: value})


@pytest.mark.parametrize("value", ["6", 6.0, None])
def test_sizes_are_whole_numbers(value: object) -> None:
    with pytest.raises(RequestError, match=r"num_layers = .* must be a whole number"):
        EncoderConfig(**{**SIZES, "num_layers": value})
