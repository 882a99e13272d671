"""The verb that scores vectors by the public benchmark CityRep; it parses, calls one function, prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from urbanln.base.saying import answer
from urbanln.cli.options import a_number, named_folder


def cityrep(
    clone: Annotated[Path, typer.Argument(metavar="CLONE", help="clone of CityRep, with data/tasks")],
    out: Annotated[
        Path,
        typer.Option(parser=named_folder, help="folder of results; run again, only what is missing is done"),
    ],
    vectors: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FILE",
            help="a raster or table per city, mine=vectors/{city}.tif; or PE, CityRep's position encoding; "
            "may be given again",
        ),
    ] = [],  # noqa: B006
    published: Annotated[
        Path | None, typer.Option(help="clone with CityRep's results, where it is another: CityRepFull")
    ] = None,
    city: Annotated[list[str], typer.Option(help="only these cities; may be given again")] = [],  # noqa: B006
    label: Annotated[list[str], typer.Option(help="only these labels; may be given again")] = [],  # noqa: B006
    split: Annotated[
        list[str],
        typer.Option(metavar="block|random|block+buffer", help="only these splits; may be given again"),
    ] = [],  # noqa: B006
    floor: Annotated[
        list[str],
        typer.Option(
            metavar="coordinates-nearest|coordinates-boosting|coordinates-gp",
            help="only these floors beside the mean; may be given again",
        ),
    ] = [],  # noqa: B006
    buffer_km: Annotated[
        float,
        typer.Option(min=0, max=20_000, callback=a_number, help="strip cleared in the split block+buffer"),
    ] = 2.0,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=1024, help="processes; one per core when left out")
    ] = None,
) -> None:
    """Score vectors by the benchmark CityRep: its protocol, beside floors, a buffer and intervals."""
    from urbanln.cityrep.predicted import MAP_FLOORS
    from urbanln.cityrep.run import SPLITS, run_cityrep

    page = run_cityrep(
        clone, out, vectors=vectors, published=published, cities=city, labels=label,
        splits=split or SPLITS, floors=floor or MAP_FLOORS, buffer_km=buffer_km, jobs=jobs,
    )  # fmt: skip
    answer(str(page))
