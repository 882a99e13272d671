from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.stretch import stretch
from torch.nn import functional

from urbanln.base.errors import InputError
from urbanln.model.stretch import interpolate_positions, ratio_for, stretch_positions


@pytest.fixture
def table() -> torch.Tensor:
    return torch.randn(77, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@given(
    length=st.integers(1, 30),
    keep=st.integers(0, 30),
    ratio=st.integers(1, 9),
    clamp=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_equals_the_oracle(length: int, keep: int, ratio: int, clamp: bool, seed: int) -> None:
    keep = min(keep, length)
    table = np.random.default_rng(seed).normal(size=(length, 3))
    tail = "clamp" if clamp else "extrapolate"
    found = stretch_positions(torch.from_numpy(table), keep, ratio, tail)
    assert found.shape == (keep + ratio * (length - keep), 3)
    np.testing.assert_allclose(found.numpy(), stretch(table, keep, ratio, tail), rtol=0, atol=1e-13)


def test_the_papers_table(table: torch.Tensor) -> None:
    long = stretch_positions(table)
    assert long.shape == (248, 6)
    assert torch.equal(long[:20], table[:20])
    assert torch.equal(long[20::4], table[20:]), "every fourth row is a source row"
    assert torch.allclose(long[21], 0.75 * table[20] + 0.25 * table[21], rtol=0, atol=1e-14)
    last, before = table[76], table[75]
    rows = [last, 1.25 * last - 0.25 * before, 1.5 * last - 0.5 * before, 1.75 * last - 0.75 * before]
    assert torch.allclose(long[244:], torch.stack(rows), rtol=0, atol=1e-14)


def test_a_clamped_tail_repeats_the_last_row(table: torch.Tensor) -> None:
    clamped = stretch_positions(table, tail="clamp")
    assert torch.equal(clamped[244:], table[76:].expand(4, -1))
    assert torch.equal(clamped[:244], stretch_positions(table)[:244])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_stays_and_kept_rows_are_bit_equal(table: torch.Tensor, dtype: torch.dtype) -> None:
    source = table.to(dtype)
    source[3, 2] = -0.0
    long = stretch_positions(source)
    assert long.dtype == dtype
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    assert torch.equal(long[:20].view(bits), source[:20].view(bits))
    # Computed wide and rounded once: half a unit in the last place of the exact row.
    wide = stretch_positions(source.double()).to(dtype)
    tolerance = 0 if dtype.itemsize == 2 else 4 * torch.finfo(dtype).eps
    assert torch.allclose(long, wide, rtol=tolerance, atol=tolerance)


def test_keeping_everything_is_the_identity_and_a_copy(table: torch.Tensor) -> None:
    same = stretch_positions(table, keep=77)
    assert torch.equal(same, table)
    same[0] = 9
    assert not torch.equal(same, table)


def test_it_is_not_interpolation(table: torch.Tensor) -> None:
    """What resizing in other libraries does, over all rows or over the later ones, is another table."""
    long = stretch_positions(table)
    for start, align in [(0, False), (0, True), (20, False), (20, True)]:
        part = table[start:].T[None]
        resized = functional.interpolate(part, size=248 - start, mode="linear", align_corners=align)[0].T
        assert (resized - long[start:]).abs().mean() > 0.05


def test_it_leaves_its_argument_alone_and_takes_parameters(table: torch.Tensor) -> None:
    parameter = torch.nn.Parameter(table.clone())
    long = stretch_positions(parameter)
    assert not long.requires_grad
    assert torch.equal(parameter, table)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((torch.zeros(77),), "shape"),
        ((torch.zeros(0, 4),), "shape"),
        ((torch.zeros(5, 4, dtype=torch.int64), 2), "floating"),
        ((torch.zeros(5, 4), 6), "keep"),
        ((torch.zeros(5, 4), -1), "keep"),
        ((torch.zeros(5, 4), 2, 0), "ratio"),
        ((torch.zeros(5, 4), 2, 2, "wrap"), "tail"),
        ((torch.full((5, 4), float("nan")), 2), "NaN"),
    ],
)
def test_bad_input_is_named(arguments: tuple, word: str) -> None:
    with pytest.raises(InputError, match=word):
        stretch_positions(*arguments)


def test_ratio_for() -> None:
    assert ratio_for(248, 77, 20) == 4
    assert ratio_for(249, 77, 20) == 5
    assert ratio_for(77, 77, 77) == 1
    for context, keep, word in [(76, 20, "below"), (248, 77, "every position"), (248, 78, "keep")]:
        with pytest.raises(InputError, match=word):
            ratio_for(context, 77, keep)


@given(length=st.integers(1, 20), context=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_naive_interpolation_equals_numpys(length: int, context: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=(length, 3))
    # The centre of each new row, in old rows, where rows are cells of width 1.
    place = (np.arange(context) + 0.5) * length / context - 0.5
    wanted = np.stack([np.interp(place, np.arange(length), column) for column in table.T], axis=1)
    found = interpolate_positions(torch.from_numpy(table), context)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=1e-12)


def test_naive_interpolation_moves_the_first_rows(table: torch.Tensor) -> None:
    naive = interpolate_positions(table, 248)
    assert naive.shape == (248, 6)
    assert not torch.allclose(naive[1:20], table[1:20], atol=0.05)
    with pytest.raises(InputError, match="context"):
        interpolate_positions(table, 0)
