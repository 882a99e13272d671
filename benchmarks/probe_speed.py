"""What a probe takes beside another build of this package, and whether both say the same.

    python -m benchmarks probe_speed --against CLONE [--regions 468] [--labels 4] [--widths 128 128 128 53]
        [--seeds 5] [--repeat 3] [--jobs 1] [--json FILE]

``CLONE`` is a work tree of any build since 6317c8a, read in place. Defaults of the probe but the seeds, the
same tables, labels and places for both: vectors of common factors, labels that are curved functions of them
and of the map, in noise. The builds take turns, each run in a process of its own; what counts is their
processor time, processes that they start included, since another program on the machine changes it least.
Imports beside those of numpy, pandas and joblib count too.
"""

from __future__ import annotations

import inspect
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

from benchmarks.harness import alone, ends, markdown, options, peak_mb, ratio, write

_ROOT = Path(__file__).parents[1]
_EXTENT_KM, _FACTORS, _CENTRES = 25.0, 16, 12
_KEY = ["indicator", "split", "features", "head"]
BUILDS = ("other", "this")


def main(argv: Sequence[str] | None = None) -> None:
    """Time both builds in turn and print what they differ in."""
    asked = options(
        __doc__, argv, against=Path, regions=468, labels=4, widths=[128, 128, 128, 53], seeds=5, repeat=3,
        jobs=1, json=None,
    )  # fmt: skip
    builds = dict(zip(BUILDS, (asked.against.resolve() / "src", _ROOT / "src"), strict=True))
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in BUILDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.repeat):
            for name, source in builds.items():
                case = (asked.regions, asked.labels, asked.widths, asked.seeds, asked.jobs)
                path = f"{source}{os.pathsep}{_ROOT}"
                run, _peak = alone(scored, *case, str(Path(folder) / name), PYTHONPATH=path)
                taken[name].append(run)
                print(f"{name}: {run}", flush=True)
        differences = _differences(Path(folder))
    head = ["", *taken]
    rows = [
        [what, *(f"{np.median([run[key] for run in runs]):.1f}" for runs in taken.values())]
        for what, key in (("processor s", "cpu_s"), ("of which imports", "import_s"), ("s", "wall_s"),
                          ("peak MB", "peak_mb"))
    ]  # fmt: skip
    found = ratio(*([run["cpu_s"] for run in taken[name]] for name in ("this", "other")))
    print(markdown(head, rows))
    print(f"Processor time of this over the other: {found['ratio']:.2f} ({ends(found['range'])})\n")
    print("R² (log) of this less that of the other, over labels and splits; folds are equal:")
    print(differences.to_string(index=False, float_format="{:.1e}".format))
    write(asked.json, {**found, "runs": taken, "differences": differences.to_dict("records")})


def scored(
    regions: int, labels: int, widths: Sequence[int], seeds: int, jobs: int, out: str
) -> dict[str, float]:
    """Score the tables with whatever build stands first on the path; write its folds and scores."""
    begun = time.process_time()
    config = _either("urbanln.base.config", "urbanln.config")
    run = import_module("urbanln.probe.run")
    imports = time.process_time() - begun
    tables, indicators, where = made(regions, labels, widths)
    start, cpu = time.perf_counter(), _cpu_s()
    result = run.probe_tables(
        tables, indicators, where, config.ProbeSettings(seeds=seeds), baseline=[*tables][1], jobs=jobs
    )
    seconds = time.perf_counter() - start
    get_reusable_executor().shutdown(wait=True)  # the time of processes counts once they have ended
    spent = _cpu_s() - cpu
    result.folds.to_parquet(f"{out}.folds.parquet")
    pd.DataFrame(result.scores["rows"])[[*_KEY, "r2"]].to_parquet(f"{out}.rows.parquet")
    build = Path(inspect.getfile(run)).parents[3]
    if str(build / "src") != os.environ["PYTHONPATH"].split(os.pathsep)[0]:
        raise SystemExit(f"{build} was read in place of another build")
    return {
        "cpu_s": round(spent + imports, 2), "import_s": round(imports, 2), "wall_s": round(seconds, 1),
        "peak_mb": round(peak_mb()),
    }  # fmt: skip


def made(
    regions: int, labels: int, widths: Sequence[int]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    """Tables of vectors, labels and places that both builds read alike."""
    rng = np.random.default_rng(0)
    km = rng.uniform(0, _EXTENT_KM, (regions, 2))
    ids = [f"r{number}" for number in range(regions)]
    away = ((km[:, None] - rng.uniform(0, _EXTENT_KM, (_CENTRES, 2))) ** 2).sum(axis=-1)
    factors = rng.normal(size=(regions, _FACTORS))
    factors += 1.5 * np.exp(-away / 32) @ rng.normal(size=(_CENTRES, _FACTORS))
    tables = {}
    for number, width in enumerate(widths):
        seen = np.tanh(factors @ rng.normal(size=(_FACTORS, width)) / 4)
        vectors = (seen + 0.5 * rng.normal(size=seen.shape)).astype(np.float32)
        tables[f"table {number}"] = pd.DataFrame({"region_id": ids, "vector": list(vectors)})
    told = {}
    for number in range(labels):
        curved = 0.5 * np.sin(factors[:, number % _FACTORS]) + rng.normal(size=regions)
        told[f"label {number}"] = np.exp(1 + 0.6 * (0.3 * factors @ rng.normal(size=_FACTORS) + curved))
    lonlat = np.array([114.3, 30.5]) + km / [95.6, 110.9]
    where = pd.DataFrame({"region_id": ids, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    return tables, pd.DataFrame({"region_id": ids, **told}), where


def _differences(folder: Path) -> pd.DataFrame:
    """By predictor: how far R² (log) is apart at most, and on average with its 95 % interval over labels."""
    folds, rows = (
        [pd.read_parquet(folder / f"{build}.{what}.parquet").reset_index(drop=True) for build in BUILDS]
        for what in ("folds", "rows")
    )
    if not folds[0].equals(folds[1]):
        raise SystemExit("the builds have other folds")
    both = rows[1].merge(rows[0], on=_KEY, suffixes=("", "_other"), validate="1:1")
    if not len(both) == len(rows[0]) == len(rows[1]):
        raise SystemExit("the builds have scored other things")
    both["apart"] = both["r2"] - both["r2_other"]
    found = []
    for (head, features), own in both.groupby(["head", "features"], sort=False):
        apart = own["apart"].to_numpy()
        half = 1.96 * apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.nan
        most, mean = np.abs(apart).max(), apart.mean()
        found.append({"head": head, "features": features, "at most": most, "mean": mean, "half": half})
    return pd.DataFrame(found)


def _either(*names: str) -> Any:
    """The module under the name that this build has for it."""
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            if name == names[-1]:
                raise
    raise AssertionError


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
