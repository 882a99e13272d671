"""Moran's I and the variogram as the textbooks write them, and Gaussian fields of a known range."""

from __future__ import annotations

import numpy as np


def morans_i(values: np.ndarray, places: np.ndarray, k: int) -> float:
    """(n / S0) Σᵢⱼ wᵢⱼ zᵢ zⱼ / Σ z², with wᵢⱼ = 1/k for the k nearest others."""
    n = len(values)
    z = values - values.mean()
    total, weights = 0.0, 0.0
    for i in range(n):
        distance = [(np.hypot(*(places[i] - places[j])), j) for j in range(n) if j != i]
        for _, j in sorted(distance)[:k]:
            total += z[i] * z[j] / k
            weights += 1 / k
    return float(n / weights * total / (z**2).sum())


def semivariance(values: np.ndarray, places: np.ndarray, low: float, high: float) -> tuple[float, int]:
    """Cressie and Hawkins' estimate over the pairs with low < distance <= high, and their number."""
    roots = []
    for i in range(len(values)):
        for j in range(i):
            if low < np.hypot(*(places[i] - places[j])) <= high:
                roots.append(np.sqrt(abs(values[i] - values[j])))
    n = len(roots)
    return float(0.5 * np.mean(roots) ** 4 / (0.457 + 0.494 / n + 0.045 / n**2)), n


def grid(side: int, cell_km: float = 1.0) -> np.ndarray:
    """(side², 2) positions in metres."""
    steps = np.arange(side) * cell_km * 1000
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)


def gaussian_field(side: int, range_km: float, seed: int, cell_km: float = 1.0) -> np.ndarray:
    """(side²,) of unit variance, exponential covariance exp(−3h/range), by circulant embedding."""
    rng = np.random.default_rng(seed)
    step = np.minimum(np.arange(2 * side), 2 * side - np.arange(2 * side)) * cell_km
    covariance = np.exp(-3 * np.hypot(step[:, None], step[None]) / range_km)
    power = np.maximum(np.fft.fft2(covariance).real, 0) / covariance.size
    noise = rng.normal(size=power.shape) + 1j * rng.normal(size=power.shape)
    return np.fft.fft2(np.sqrt(power) * noise).real[:side, :side].ravel()


def joins(codes: np.ndarray, places: np.ndarray, k: int) -> tuple[float, list[float]]:
    """Share of the k nearest others that are of a point's own class, over all points and by class."""
    own: dict[int, list[bool]] = {}
    for i in range(len(codes)):
        distance = [(np.hypot(*(places[i] - places[j])), j) for j in range(len(codes)) if j != i]
        own.setdefault(int(codes[i]), []).extend(bool(codes[j] == codes[i]) for _, j in sorted(distance)[:k])
    return float(np.mean([one for same in own.values() for one in same])), [
        float(np.mean(own[code])) for code in sorted(own)
    ]


def unlike(codes: np.ndarray, places: np.ndarray, low: float, high: float) -> float:
    """Share of the pairs with low < distance <= high whose classes differ."""
    pairs = [(i, j) for i in range(len(codes)) for j in range(i)]
    return float(
        np.mean([codes[i] != codes[j] for i, j in pairs if low < np.hypot(*(places[i] - places[j])) <= high])
    )


def apart(shares: np.ndarray, places: np.ndarray, low: float, high: float) -> float:
    """Half the mean squared distance of the rows of pairs with low < distance <= high."""
    pairs = [(i, j) for i in range(len(shares)) for j in range(i)]
    squares = [
        sum((a - b) ** 2 for a, b in zip(shares[i], shares[j], strict=True))
        for i, j in pairs
        if low < np.hypot(*(places[i] - places[j])) <= high
    ]
    return float(np.mean(squares) / 2)
