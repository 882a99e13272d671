"""What labels have in common that are made of a file of this machine: nobody is asked."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError, placed
from urbanln.base.kinds import Kind
from urbanln.base.space import Floats
from urbanln.gather.labels.told import built, partly
from urbanln.gather.local_files import need_files
from urbanln.gather.source import Answers, AtHand, Built

_WITH_VALUE = r"--(encoding|thousands|decimal|crs|datum|outside-china|empty-part) (,|[^\s;),]+)"
_WITH_NUMBER = r"--(share-tolerance)(?: ([\d.]+))?"
_SIGNS = r", or say what stands for it: --missing .*"  # nodata has numbers only
_OPTION = r"--([a-z][a-z-]*)"


@contextmanager
def _as_keys() -> Iterator[None]:
    """What remedies call options, which other verbs have, are keys of a recipe here."""
    try:
        yield
    except InputError as error:
        text = _keyed(re.sub(_SIGNS, "", error.remedy))
        error.remedy = re.sub(_OPTION, lambda found: found[1].replace("-", "_"), text)
        raise


def _keyed(text: str) -> str:
    """A text in which options that have a value are keys that have it."""
    text = re.sub(_WITH_VALUE, lambda found: f'{found[1].replace("-", "_")} = "{found[2]}"', text)
    return re.sub(
        _WITH_NUMBER,
        lambda found: found[1].replace("-", "_") + (f" = {found[2]}" if found[2] else ""),
        text,
    )


@dataclass(frozen=True)
class Found:
    """A label, as far as a file tells.

    Attributes:
        values: (N,) missing where a region has none; of shares a column per part.
        said: What else there is to say.
        cover: (N,) share of a region's area that the file tells of; None: nobody said.
        kind: Of the label.
    """

    values: Floats | pd.DataFrame
    said: list[str]
    cover: Floats | None = None
    kind: Kind = "number"


class Local(AtHand, ABC):
    """A label of a file that lies here; see :class:`urbanln.gather.source.Source`.

    It is made at once, so that whatever is wrong with its file is told before anybody is asked for anything.

    Args:
        name: Of the label.
        settings: Its section of the recipe, with paths from here.
        regions: ``region_id`` and ``geometry`` in EPSG:4326.
        by: What the regions are; any kind is well.

    Raises:
        InputError: The file is missing, cannot be used, or is of another place.
    """

    def __init__(self, name: str, settings: Any, regions: gpd.GeoDataFrame, by: str) -> None:
        self.name, self.settings, self._ids = name, settings, regions["region_id"]
        where = f"[labels.{name}]"
        need_files(settings.reads(), where)
        with placed(where), _as_keys():
            found = self.find(settings, regions)
        self._found = replace(found, said=[_keyed(line) for line in found.said])

    @staticmethod
    @abstractmethod
    def find(asked: Any, regions: gpd.GeoDataFrame) -> Found:
        """Make the label.

        Args:
            asked: Its section of the recipe, with paths from here.
            regions: ``region_id`` and ``geometry`` in EPSG:4326.

        Raises:
            InputError: See the class.
        """

    def pictures(self) -> int:
        """None."""
        return 0

    def build(self, answers: Answers, folder: Path) -> Built:
        """The label, as it was made."""
        found, asked = self._found, self.settings
        if isinstance(found.values, pd.DataFrame):
            shares = found.kind == "shares"
            table = (
                found.values.add_prefix(f"{self.name}_")
                if shares
                else found.values.set_axis([self.name], axis=1)
            )
            return built(self.name, asked, self._ids, table, found.said, kind=found.kind)
        if found.cover is None:
            return built(self.name, asked, self._ids, found.values, found.said)
        remedy = "min_cover = 0.9 takes what is told of nine tenths of a region"
        said = [*found.said, *partly(found.cover, asked.min_cover, "what is within covers", remedy)]
        return built(self.name, asked, self._ids, found.values, said, found.cover, asked.min_cover)
