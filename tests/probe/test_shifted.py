"""One reduction of a matrix serves every number added to its diagonal."""

from __future__ import annotations

import numpy as np
import pytest

from urbanln.probe import threads
from urbanln.probe.shifted import Shifted


@pytest.mark.parametrize("n", [1, 2, 3, 40, 150])
def test_every_shift_is_solved_as_by_itself(n: int) -> None:
    rng = np.random.default_rng(n)
    half, b = rng.normal(size=(n, max(n // 2, 1))), rng.normal(size=(n, 3))  # half of its axes are empty
    A, shifts = half @ half.T, np.array([1e-3, 0.5, 1e3])
    shifted = Shifted(A)
    turned = shifted.turned(b)
    solved, logarithms = shifted.solved(turned, shifts)
    for shift, own, logarithm in zip(shifts, solved, logarithms, strict=True):
        left = A + shift * np.eye(n)
        expected = np.linalg.solve(left, b)
        for found, wanted in ((shifted.back(own), expected), (turned.T @ own, b.T @ expected)):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10 * np.abs(wanted).max())
        assert logarithm == pytest.approx(np.linalg.slogdet(left)[1], rel=1e-9)


def test_libraries_are_looked_for_again_when_a_module_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: made.append(len(made)) or made[-1])
    threads._libraries.cache_clear()
    assert [threads._libraries(modules) for modules in (7, 7, 8)] == [0, 0, 1]
    threads._libraries.cache_clear()
