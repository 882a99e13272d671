"""What causes a synthetic city: smooth fields over the map, and what varies from one cell to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GROSS = ("density", "wealth", "age", "greenness", "industry", "commerce")
# Share of a gross latent's variance that is the cell's own: coordinates must not give everything away.
LOCAL_SHARE = 0.3
_WAVES = 256

# By detail: log-odds that a cell has it (a constant, and slopes on gross latents, standard normal each), and
# fewest and most where it is present (lots, courts and stations fill a block each). The constant and the
# cell's own dice dominate, so that neighbours differ and only the picture tells.
_DETAILS: Mapping[str, tuple[float, Mapping[str, float], tuple[int, int]]] = {
    "market stall": (-0.7, {"commerce": 0.5}, (6, 20)),
    "swimming pool": (-0.4, {"wealth": 0.6}, (2, 9)),
    "solar roof": (-0.3, {"wealth": 0.25}, (2, 9)),
    "parking lot": (0.1, {"commerce": 0.3}, (1, 2)),
    "construction site": (-0.8, {"density": 0.2}, (1, 2)),
    "sports field": (-0.7, {"greenness": 0.2}, (1, 2)),
    "tennis court": (-1.2, {"wealth": 0.3}, (1, 2)),
    "derelict lot": (-0.5, {"wealth": -0.4}, (1, 3)),
    "container": (-1.1, {"industry": 0.9}, (6, 16)),
    "storage tank": (-1.4, {"industry": 1.0}, (2, 6)),
    "petrol station": (-1.0, {}, (1, 1)),
    "bus": (-0.9, {"commerce": 0.3}, (3, 8)),
    "fountain": (-1.2, {"commerce": 0.3}, (1, 1)),
    "playground": (-0.9, {"density": 0.2}, (1, 1)),
    "greenhouse": (-1.6, {"density": -1.0}, (3, 6)),
}


@dataclass(frozen=True)
class Cell:
    """Everything that decides what one region looks like.

    Attributes:
        index: Place in the list of regions.
        region_id: ``"r0000"`` and so on.
        seed: Seed of the city; with ``index`` it seeds the cell's own random numbers.
        gross: Standard-normal latents by name (:data:`GROSS`), smooth part and own part together.
        details: How many of each detail the cell is meant to have; what finds no room is not drawn.
        disorder: Graffiti and litter, at least 0, about 1 on average; seen in street views, and partly
            through derelict lots from above.
        angle: Orientation of the street grid in radians.
        avenue: Whether a wide road runs through.
        river: Line of the river as (angle in radians, offset from the centre in cells), or none.
        rail: The same for the railway.
        views: Number of street views.
    """

    index: int
    region_id: str
    seed: int
    gross: Mapping[str, float]
    details: Mapping[str, int]
    disorder: float
    angle: float
    avenue: bool
    river: tuple[float, float] | None
    rail: tuple[float, float] | None
    views: int = 0

    def rng(self, *purpose: int) -> np.random.Generator:
        """Random numbers of this cell alone, the same in whichever worker it is drawn."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.index, *purpose)))


def grid_km(regions: int, cell_km: float) -> Floats:
    """Centres of ``regions`` square cells in a near-square grid around (0, 0): (N, 2) km, east and north."""
    columns = math.ceil(math.sqrt(regions))
    k = np.arange(regions)
    rows = math.ceil(regions / columns)
    x = (k % columns - (columns - 1) / 2) * cell_km
    y = ((rows - 1) / 2 - k // columns) * cell_km
    return np.stack([x, y], axis=1).astype(np.float64)


def gaussian_field(xy_km: Floats, length_km: float, rng: np.random.Generator) -> Floats:
    """A smooth Gaussian random field (squared-exponential covariance), mean 0, variance 1, at any points.

    Args:
        xy_km: (N, 2) points in km.
        length_km: Distance over which the correlation falls to ``exp(-1/2)``.
        rng: Source of the waves.

    Returns:
        (N,) values: a sum of random cosine waves (Rahimi and Recht 2007, random Fourier features).
    """
    frequency = rng.normal(size=(2, _WAVES)) / length_km
    phase = rng.uniform(0.0, 2 * math.pi, size=_WAVES)
    wave = np.cos(xy_km @ frequency + phase)
    return np.asarray(math.sqrt(2.0 / _WAVES) * wave.sum(axis=1), dtype=np.float64)


def gross_fields(xy_km: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """The smooth latents of :data:`GROSS` at (N, 2) points in km: (N,) each, about standard normal."""
    radius = np.hypot(*(xy_km - rng.normal(0, 1.0, size=2)).T)
    reach = max(float(radius.max()), 1e-9)
    centre = 1.6 - 3.2 * radius / reach
    draw = {name: gaussian_field(xy_km, length, rng) for name, length in zip(GROSS, _LENGTHS_KM, strict=True)}
    draw["density"] = 0.75 * draw["density"] + 0.7 * centre
    draw["commerce"] = 0.8 * draw["commerce"] + 0.4 * centre
    draw["greenness"] = 0.9 * draw["greenness"] - 0.3 * centre
    draw["industry"] = 0.95 * draw["industry"] - 0.2 * draw["wealth"]
    return draw


_LENGTHS_KM = (3.0, 4.0, 4.0, 2.5, 3.0, 2.5)


def make_cells(
    regions: int, *, seed: int, cell_km: float, street_views: int, street_missing: float
) -> tuple[list[Cell], Floats]:
    """Decide the causes of every cell of a city.

    Args:
        regions: Number of cells.
        seed: Seed of the city.
        cell_km: Edge of a cell in km.
        street_views: Mean number of street views of a region that has any.
        street_missing: Share of regions without street views.

    Returns:
        The cells, and their centres (N, 2) in km around the city's centre.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_003,)))
    xy = grid_km(regions, cell_km)
    smooth = gross_fields(xy, rng)
    turn = 0.9 * gaussian_field(xy, 4.0, rng)
    river, rail = _course(xy, cell_km, rng, bend=1.0), _course(xy, cell_km, rng, bend=0.15)
    road = gaussian_field(xy, 2.0, rng)
    cells = []
    for k in range(regions):
        own = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k, 0)))
        gross = {
            name: float(math.sqrt(1 - LOCAL_SHARE) * smooth[name][k] + math.sqrt(LOCAL_SHARE) * own.normal())
            for name in GROSS
        }
        details = _details(gross, own)
        disorder = float(own.gamma(1.2, 0.5) + 0.45 * min(details["derelict lot"], 3))
        cells.append(
            Cell(
                index=k,
                region_id=f"r{k:04d}",
                seed=seed,
                gross=gross,
                details=details,
                disorder=disorder,
                angle=float(np.clip(turn[k] * 0.3 + own.normal(0, 0.06), -0.45, 0.45)),
                avenue=bool(road[k] + 0.5 * gross["density"] + own.normal(0, 0.5) > 0.0),
                river=river[k],
                rail=rail[k],
                views=_views(own, street_views, street_missing),
            )
        )
    return cells, xy


def _details(gross: Mapping[str, float], rng: np.random.Generator) -> dict[str, int]:
    out = {}
    for name, (constant, slopes, (low, high)) in _DETAILS.items():
        odds = constant + sum(slope * gross[cause] for cause, slope in slopes.items())
        present = rng.random() < 1 / (1 + math.exp(-odds))
        out[name] = int(rng.integers(low, high + 1)) if present else 0
    return out


def _views(rng: np.random.Generator, mean: int, missing: float) -> int:
    none, count = rng.random() < missing, int(rng.integers(max(mean - 1, 1), mean + 2))
    return 0 if none or mean == 0 else count


def _course(
    xy: Floats, cell_km: float, rng: np.random.Generator, *, bend: float
) -> list[tuple[float, float] | None]:
    """Where one line across the whole city passes each cell: (angle, offset in cells), or none."""
    heading = rng.uniform(0, math.pi)
    along, across = math.cos(heading), math.sin(heading)
    s = xy @ np.array([along, across])
    d = xy @ np.array([-across, along])
    width = float(np.ptp(d)) or 1.0
    wave, phase, shift = rng.uniform(5, 9), rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 0.3) * width
    amplitude = bend * min(0.18 * width, 2.0)
    offset = shift + amplitude * np.sin(s / wave + phase) - d
    slope = np.arctan(amplitude / wave * np.cos(s / wave + phase))
    distance = offset * np.cos(slope) / cell_km
    return [
        (float(heading + slope[k]), float(distance[k])) if abs(distance[k]) < 0.45 else None
        for k in range(len(xy))
    ]
