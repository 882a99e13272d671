from __future__ import annotations

import pytest
import torch

from urbanln.base.errors import InputError
from urbanln.model.device import pick_device, pick_precision


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert torch.ones(2, device=pick_device()).sum() == 2
    for name in ("gpu", "cuda:99"):
        with pytest.raises(InputError) as caught:
            pick_device(name)
        assert name in str(caught.value)


@pytest.mark.parametrize(("tiles", "dots", "wanted"), [(0, 0, "fp32"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_auto_follows_the_processor(
    monkeypatch: pytest.MonkeyPatch, tiles: int, dots: int, wanted: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(tiles), raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(dots), raising=False)
    assert pick_precision("auto", "cpu") == wanted
    assert pick_precision("fp32", "cpu") == "fp32"


def test_auto_on_a_torch_without_those_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert pick_precision("auto", "cpu") == "fp32"


def test_precisions_that_cannot_be() -> None:
    for name in ("int8", "fp16"):
        with pytest.raises(InputError, match=r"GPU|one of"):
            pick_precision(name, "cpu")
