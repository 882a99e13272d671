"""Mapillary as a source: a search per region, and pictures of those views that are spread best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.pictures import open_picture
from urbanln.base.progress import track
from urbanln.gather.mapillary import parse
from urbanln.gather.mapillary.picture import DIRECTIONS, cut, is_whole, spread
from urbanln.gather.mapillary.settings import MapillarySource
from urbanln.gather.source import BROKEN, Answer, AnswerError, Answers, Built, Request
from urbanln.gather.tiles.parse import ENDINGS
from urbanln.gather.tiles.picture import as_jpeg
from urbanln.gather.writing import make_folder, write_picture

_TRIED = 2  # times the views that are wanted of a region, at most, where pictures are broken
_PAGE = "https://www.mapillary.com/app/?pKey="


@dataclass
class _Region:
    """What is known of a region while answers come."""

    shape: shapely.Geometry
    wanted: int
    views: dict[str, parse.View]
    open: int = 0
    spare: list[parse.View] = field(default_factory=list)


class Mapillary:
    """Street views of regions; see :class:`urbanln.gather.source.Leading`.

    Args:
        name: Of the source.
        settings: Its section of the recipe.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: ``in_all`` is less than there are regions.
    """

    def __init__(self, name: str, settings: MapillarySource, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings = name, settings
        self._ids, self._shapes = list(regions["region_id"]), list(regions.geometry)
        self._picture = f"thumb_{settings.size}_url"
        self._base = settings.url.rstrip("/")
        self._dates = {}
        if settings.since:
            self._dates["start_captured_at"] = f"{settings.since}T00:00:00Z"
        if settings.until:
            self._dates["end_captured_at"] = f"{settings.until}T23:59:59Z"
        self._wanted = self._shares()
        self._begin()

    def _shares(self) -> list[int]:
        """Places per region: what ``in_all`` allows is shared evenly."""
        count, most = len(self._ids), self.settings.per_region * len(self._ids)
        total = most if self.settings.in_all is None else min(self.settings.in_all, most)
        if total < count:
            raise InputError(
                f"in_all allows {total:,} views, and there are {count:,} regions",
                value=total,
                where=f"[mapillary.{self.name}]",
                remedy="raise it, take fewer regions, or try with --limit",
            )
        return [(number + 1) * total // count - number * total // count for number in range(count)]

    def _begin(self) -> None:
        rows = zip(self._shapes, self._wanted, strict=True)
        self._known = [_Region(shape, wanted, {}) for shape, wanted in rows]
        self._owners: dict[str, list[int]] = {}
        self._searches: dict[str, parse.Search] = {}
        self._asked: set[str] = set()
        self._broken: set[str] = set()
        self._shown: dict[str, tuple[parse.View, list[_Region]]] = {}
        for number in range(len(self._ids)):
            for one in self._start(number):
                self._expect(one, [number])

    def _start(self, number: int) -> list[parse.Search]:
        """The first searches of a region; one across the antimeridian is searched in its parts."""
        shape = self._shapes[number]
        west, _, east, _ = shape.bounds
        parts = shape.geoms if east - west > 180 and hasattr(shape, "geoms") else [shape]
        found = [
            parse.searches(self._base, one.bounds, self._picture, self._dates, self.settings.page)
            for one in parts
        ]
        return [one for part in found for one in part]

    def _expect(self, one: parse.Search, owners: list[int]) -> None:
        """Note that regions wait for an answer; several do if they have the same box."""
        self._searches[one.request.name] = one
        self._owners.setdefault(one.request.name, []).extend(owners)
        for owner in owners:
            self._known[owner].open += 1

    def pictures(self) -> int:
        """As many as are asked for; of a panorama that is cut, four."""
        return sum(self._wanted) * (len(DIRECTIONS) if self.settings.panoramas == "cut" else 1)

    def more(self) -> int:
        """A picture for every view that regions still want."""
        return sum(region.wanted for region in self._known if region.open)

    def hosts(self) -> list[str]:
        """The host of the API; pictures lie elsewhere."""
        return [(urlsplit(self._base).hostname or "").lower()]

    def first(self) -> Iterator[Request]:
        """The searches for each region's box."""
        self._begin()
        return iter([one.request for one in self._searches.values()])

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """Of a search the next ones, or the pictures of the regions that now know all their views; of a
        picture that is not there or broken, those that take its place.

        Raises:
            AnswerError: It is no answer to a search.
        """
        if (asked := self._searches.get(request.name)) is None:
            return [] if answer.there else self._in_place(request)
        found = parse.read(answer.data, asked, self._picture)
        if not found.sound:
            what, remedy = "this is no answer to a search for views", "check url, or try again later"
            value = f"HTTP {answer.status} {answer.data[:200]!r}"
            raise AnswerError(
                what, value=value, where=f"[mapillary.{self.name}], {self._base}", remedy=remedy
            )
        owners = self._owners.pop(request.name, [])
        more = [one for one in found.more if one.request.name not in self._searches]
        for one in more:
            self._expect(one, owners)
        requests = [one.request for one in more]
        for owner in owners:
            region = self._known[owner]
            region.views.update((view.id, view) for view in self._fitting(found.views, region.shape))
            region.open -= 1
            if not region.open:
                chosen = spread(list(region.views.values()), _TRIED * region.wanted)
                region.views, region.spare = {}, chosen[region.wanted :]
                requests += [one for view in chosen[: region.wanted] for one in self._show(view, region)]
        return requests

    def _show(self, view: parse.View, region: _Region) -> list[Request]:
        """Ask for a view of a region, or for the next best where it is known to be broken."""
        while view.id in self._broken:
            if not region.spare:
                return []
            view = region.spare.pop(0)
        _, regions = self._shown.setdefault(self._request(view).name, (view, []))
        regions.append(region)
        if view.id in self._asked:
            return []
        self._asked.add(view.id)
        return [self._request(view)]

    def _in_place(self, request: Request) -> list[Request]:
        """What regions want in place of a picture."""
        if request.name not in self._shown:
            return []
        view, regions = self._shown.pop(request.name)
        self._broken.add(view.id)
        return [one for region in regions for one in self._show(view, region)]

    def judged(self, request: Request, answer: Answer) -> Answer:
        """Pictures that cannot be shown are kept as broken."""
        if request.kind != "picture" or not answer.there:
            return answer
        view = self._shown[request.name][0] if request.name in self._shown else None
        picture = _opened(answer)
        good = picture is not None and (view is None or not view.panorama or is_whole(picture))
        return answer if good else Answer(BROKEN, b"")

    def _request(self, view: parse.View) -> Request:
        kept_as = f"{self._base}/{view.id}/{self._picture}"
        anew = f"{self._base}/{view.id}?fields={self._picture}"
        return Request(view.url, "picture", kept_as, anew=anew, says=self._picture)

    def _fitting(self, views: Iterable[parse.View], shape: shapely.Geometry) -> list[parse.View]:
        """Those in a region, of the days and the kind that are asked for."""
        days = (str(self.settings.since or ""), str(self.settings.until or "9999"))
        fits = [
            view
            for view in views
            if (not self._dates or (view.captured and days[0] <= view.captured[:10] <= days[1]))
            and (self.settings.panoramas == "cut" or not view.panorama)
        ]
        if not fits:
            return []
        inside = shapely.intersects_xy(shape, *np.array([(view.lon, view.lat) for view in fits]).T)
        return [view for view, within in zip(fits, inside, strict=True) if within]

    def build(self, answers: Answers, folder: Path) -> Built:
        """Write the pictures of the regions.

        Raises:
            StorageError: The folder cannot be written.
        """
        target = make_folder(folder, self.name)
        states, rows, told = [], list[dict[str, object]](), Counter[str]()
        numbers = range(len(self._ids))
        for number in track(numbers, f"writing {self.name}", len(self._ids)):
            views, faults = self._all_views(number, answers, told)
            before, left = len(rows), self._wanted[number]
            best = [] if "unanswered" in faults else spread(views, _TRIED * left)
            for place, view in enumerate(best):
                got = self._files(view, answers(self._request(view)), target) if left else "enough"
                if isinstance(got, str):
                    faults.add(got)
                    left -= got == "unanswered"
                    told["lost"] += got in ("absent", "broken")
                    continue
                left -= 1
                told["instead"] += place >= self._wanted[number]
                rows += [self._row(number, view, *one) for one in got]
            order = ("unanswered", "broken", "absent")
            state = next((state for state in order if state in faults), "absent")
            states.append("picture" if len(rows) > before else state)
            told["few"] += 0 < len(views) < self._wanted[number]
        return Built(pd.Series(states, index=self._ids), pd.DataFrame(rows), said=self._said(told))

    def _all_views(
        self, number: int, answers: Answers, told: Counter[str]
    ) -> tuple[list[parse.View], set[str]]:
        """All views of a region by the kept answers, and what went wrong."""
        left, seen = self._start(number), set[str]()
        views: dict[str, parse.View] = {}
        faults, partly = set[str](), False
        while left:
            asked = left.pop()
            if asked.url in seen:
                continue
            seen.add(asked.url)
            if (answer := answers(asked.request)) is None:
                faults.add("unanswered")
                continue
            found = parse.read(answer.data, asked, self._picture)
            partly |= found.cut
            faults |= set() if found.sound else {"broken"}
            views |= {view.id: view for view in self._fitting(found.views, self._shapes[number])}
            left += found.more
        told["partly"] += partly
        return list(views.values()), faults

    def _files(
        self, view: parse.View, answer: Answer | None, target: Path
    ) -> list[tuple[str, str, int]] | str:
        """Name, hash and direction of a view's pictures; or why there is none."""
        if answer is None:
            return "unanswered"
        if not answer.there:
            return "broken" if answer.status == BROKEN else "absent"
        if (picture := _opened(answer)) is None:
            return "broken"
        if not view.panorama:
            name = f"{view.id}.{ENDINGS[str(picture.format)]}"
            return [(*write_picture(target / name, answer.data), 0)]
        if not is_whole(picture):
            return "broken"
        made = []
        for direction in DIRECTIONS:
            path = target / f"{view.id}-{direction}.jpg"
            made.append((*write_picture(path, as_jpeg(cut(picture, direction))), direction))
        return made

    def _row(
        self, number: int, view: parse.View, file: str, digest: str, direction: int
    ) -> dict[str, object]:
        region, licence = self._ids[number], self.settings.licence
        named = f"{view.creator}, Mapillary" if view.creator else self.settings.attribution
        compass = None if view.compass is None else (view.compass + direction) % 360
        return {
            "image_id": f"{region}_{self.name}_{file.partition('.')[0]}", "region_id": region,
            "view": "street", "path": f"pictures/{self.name}/{file}", "lon": view.lon, "lat": view.lat,
            "captured": view.captured or None, "source": self.name, "licence": licence, "sha256": digest,
            "attribution": f"{named}, {_PAGE}{view.id}", "compass": compass,
            "sequence": view.sequence or None,
        }  # fmt: skip

    def _said(self, told: Counter[str]) -> list[str]:
        lines = {
            "few": "regions have fewer views than are asked for",
            "lost": "of the chosen pictures are not there or broken",
            "instead": "views stand in for these, the next best of their regions",
            "partly": "regions have more views than were looked through: smaller regions are",
        }
        return [f"{told[what]:,} {line}" for what, line in lines.items() if told[what]]


def _opened(answer: Answer) -> Image.Image | None:
    """The picture of an answer; None where it is broken."""
    try:
        return open_picture(answer.data)
    except InputError:
        return None
