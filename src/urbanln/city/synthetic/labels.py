"""Labels of a synthetic city: log-linear in what was drawn and what caused it, with noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from urbanln.city.synthetic.fields import Cell, Floats

UNITS: Mapping[str, str] = {
    "population": "people per cell, simulated",
    "gdp": "money per cell and year, simulated",
    "carbon": "tonnes of CO2 per cell and year, simulated",
    "night_light": "radiance, simulated",
    "poi_count": "points of interest per cell, simulated",
    "crime": "reports per cell and year, simulated",
}
"""The indicators and their units."""

# Mean and standard deviation of the square root of each count over 720 cells of ten cities: constants, so
# that a city's labels do not depend on which other cells it has.
_ROOT_SCALE: Mapping[str, tuple[float, float]] = {
    "market stall": (1.38, 1.79),
    "swimming pool": (0.82, 1.12),
    "solar roof": (0.98, 1.17),
    "parking lot": (0.63, 0.62),
    "parked car": (2.40, 2.53),
    "construction site": (0.38, 0.56),
    "sports field": (0.38, 0.58),
    "tennis court": (0.36, 0.69),
    "derelict lot": (0.51, 0.69),
    "container": (0.82, 1.43),
    "storage tank": (0.42, 0.81),
    "petrol station": (0.27, 0.44),
    "bus": (0.64, 1.06),
    "fountain": (0.23, 0.42),
    "playground": (0.24, 0.43),
    "greenhouse": (0.55, 0.94),
}

DETAILS = tuple(_ROOT_SCALE)
"""Details counted on the satellite tile that labels may depend on."""

# Level of log(label), weights on latents, weights on details (both standardised), deviation of the noise.
_RULES: Mapping[str, tuple[float, Mapping[str, float], Mapping[str, float], float]] = {
    "population": (
        8.4,
        {"density": 0.75, "industry": -0.22, "greenness": -0.15, "wealth": -0.08},
        {"playground": 0.08},
        0.16,
    ),
    "carbon": (
        6.8,
        {"density": 0.45, "industry": 0.5, "commerce": 0.15, "greenness": -0.1},
        {"storage tank": 0.12, "parked car": 0.10},
        0.2,
    ),
    "night_light": (
        2.6,
        {"density": 0.5, "commerce": 0.42, "industry": 0.12},
        {"sports field": 0.10, "parked car": 0.08},
        0.2,
    ),
    "gdp": (
        5.5,
        {"commerce": 0.36, "wealth": 0.3, "density": 0.25},
        {"solar roof": 0.26, "construction site": 0.22, "container": 0.22, "swimming pool": 0.14},
        0.25,
    ),
    "poi_count": (
        3.4,
        {"commerce": 0.34, "density": 0.28},
        {"market stall": 0.32, "bus": 0.24, "fountain": 0.2, "parked car": 0.18, "petrol station": 0.12},
        0.25,
    ),
    "crime": (
        2.6,
        {"density": 0.25, "wealth": -0.26, "commerce": 0.12},
        {"derelict lot": 0.36, "market stall": 0.2, "playground": -0.18, "swimming pool": -0.16},
        0.28,
    ),
}
_DISORDER_ON_CRIME = 0.16
# Where a label is missing in places, as in real tables.
_MISSING: Mapping[str, float] = {"gdp": 0.02, "crime": 0.02}


def make_labels(
    cells: Sequence[Cell], drawn: Sequence[Mapping[str, int]], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The indicators of a city, and the truth behind them.

    ``log(label) = level + gross part + detail part + noise``; the gross part is linear in the cell's
    latents, the detail part in the square roots of the counts drawn on its satellite tile (and, for crime,
    in the disorder that street views show).

    Args:
        cells: The N cells.
        drawn: Counts of objects on each cell's satellite tile.
        seed: Seed of the city.

    Returns:
        ``indicators`` (region_id and one positive column per label, 2 % missing in two of them) and ``truth``
        (latents ``latent_*``, counts ``count_*``, and per label ``gross_*``, ``detail_*`` and ``log_*``, the
        logarithm without noise).
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_033,)))
    truth: dict[str, object] = {"region_id": [cell.region_id for cell in cells]}
    latents = {name: np.array([cell.gross[name] for cell in cells]) for name in cells[0].gross}
    counts = {name: np.array([found.get(name, 0) for found in drawn], dtype=float) for name in DETAILS}
    disorder = np.array([cell.disorder for cell in cells])
    truth |= {f"latent_{name}": values for name, values in latents.items()}
    truth["latent_disorder"] = disorder
    truth |= {f"count_{name.replace(' ', '_')}": values for name, values in counts.items()}
    labels: dict[str, object] = {"region_id": truth["region_id"]}
    for name, (level, gross_weights, detail_weights, noise) in _RULES.items():
        gross = level + sum(weight * latents[cause] for cause, weight in gross_weights.items())
        detail = sum(weight * _standard(cause, counts[cause]) for cause, weight in detail_weights.items())
        if name == "crime":
            detail = detail + _DISORDER_ON_CRIME * (disorder - 1.0)
        log = gross + detail
        values = np.exp(log + rng.normal(0, noise, size=len(cells)))
        lost = rng.random(len(cells)) < _MISSING.get(name, 0.0)
        labels[name] = np.where(lost, math.nan, values)
        truth |= {f"gross_{name}": gross, f"detail_{name}": detail, f"log_{name}": log}
    return pd.DataFrame(labels), pd.DataFrame(truth)


def standard_counts(name: str, drawn: Sequence[Mapping[str, int]]) -> Floats:
    """(N,) standardised square roots of the counts of a detail, drawn on each cell's tile."""
    return _standard(name, np.array([found.get(name, 0) for found in drawn], dtype=float))


def _standard(name: str, counts: Floats) -> Floats:
    mean, deviation = _ROOT_SCALE[name]
    return np.asarray((np.sqrt(counts) - mean) / deviation)
