"""What torch draws from a seed, drawn without it."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.cityrep.draws import Draws


@pytest.mark.parametrize("seed", [0, 42, 2**40 + 5])
def test_weights_seeds_and_orders_are_those_of_torch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(seed)
    draws = Draws(seed)
    ours = draws.uniform(0.25, 40, 3)
    theirs = torch.empty(40, 3).uniform_(-0.25, 0.25, generator=generator).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    assert draws.whole() == torch.empty((), dtype=torch.int64).random_(generator=generator).item()
    for rows in (1, 2, 1000):
        np.testing.assert_array_equal(draws.order(rows), torch.randperm(rows, generator=generator).numpy())


def test_draws_are_pinned() -> None:
    """As torch 2.13 draws them from seed 42, for whoever has no torch."""
    draws = Draws(42)
    assert draws.whole() == 6909045637428952499
    assert draws.order(7).tolist() == [4, 5, 3, 6, 1, 0, 2]
    np.testing.assert_allclose(draws.uniform(1, 3), [0.88154292, -0.73362815, 0.86919618], atol=1e-7)
