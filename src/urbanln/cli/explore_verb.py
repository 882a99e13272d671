"""The verb that opens a map one can question."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from urbanln.base.saying import answer, say
from urbanln.cli.options import (
    DecimalOption,
    EncodingOption,
    KeyOption,
    NodataOption,
    SetOption,
    SettingsOption,
    ThousandsOption,
    named_folder,
)

VectorsOption = Annotated[
    str,
    typer.Option(
        metavar="[NAME=]FILE[#COL,…]", help="table of region vectors, for what is alike; as of urbanln probe"
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(metavar="NAME_OR_RUN", help="the model that made them, for search by words and pictures"),
]
BasemapOption = Annotated[
    str,
    typer.Option(
        metavar="FILE.pmtiles|ADDRESS",
        help="a map of streets below; ADDRESS is https://…/{z}/{x}/{y}.png, which the page then asks",
    ),
]
CreditOption = Annotated[
    str, typer.Option(metavar="TEXT", help="whom the map names for it; needed with an address")
]

QueryOption = Annotated[
    list[str],
    typer.Option(
        metavar="TEXT",
        help="a text to offer, and to prepare for --export; again for more; none: some from the captions",
    ),
]
ExportOption = Annotated[
    Path | None,
    typer.Option(parser=named_folder, help="write the page as files into this folder, and serve nothing"),
]


def explore(
    cities: Annotated[list[Path], typer.Argument(metavar="CITY...", help="one or several city folders")],
    vectors: VectorsOption = "",
    key: KeyOption = [],  # noqa: B006
    nodata: NodataOption = [],  # noqa: B006
    encoding: EncodingOption = None,
    thousands: ThousandsOption = None,
    decimal: DecimalOption = None,
    model: ModelOption = "",
    scores: Annotated[
        Path | None,
        typer.Option(help="folder that probe wrote, for held-out predictions and their intervals"),
    ] = None,
    query: QueryOption = [],  # noqa: B006
    export: ExportOption = None,
    with_pictures: Annotated[
        bool,
        typer.Option("--with-pictures", help="export pictures too whose licence is not named as a free one"),
    ] = False,
    basemap: BasemapOption = "",
    basemap_credit: CreditOption = "",
    host: Annotated[
        str, typer.Option(help="address to serve on; another than this machine's has a secret in its path")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free")] = 0,
    browser: Annotated[bool, typer.Option(help="open the page")] = True,
    settings: SettingsOption = None,
    set_: SetOption = [],  # noqa: B006
) -> None:
    """Open a map one can question: similar regions, search by words, evidence, selections to take away."""
    from urbanln.base.config import load_settings
    from urbanln.base.written import Written
    from urbanln.city.store import City
    from urbanln.stages.explore import PICTURES, Asked, content_of

    asked = Asked(
        vectors, model, scores, tuple(query), basemap, basemap_credit,
        tuple(key), tuple(nodata), Written(encoding, thousands, decimal),
    )  # fmt: skip
    places = [City.open(folder, pictures=PICTURES) for folder in cities]
    content = content_of(places, asked, load_settings(settings, set_))
    if export is not None:
        from urbanln.explore.exporting import export_page

        return answer(*export_page(content, export, with_pictures=with_pictures))
    from urbanln.explore.server import listen

    server, sock, address = listen(content, host, port)
    answer(address)
    if content.basemap and content.basemap.origin:
        say(f"the page will ask {content.basemap.origin} for pictures of the map: it sees where you look")
    say("stop it with Ctrl-C")
    if browser:
        import webbrowser

        webbrowser.open(address)
    server.run(sockets=[sock])
