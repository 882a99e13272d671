"""What a recipe says of other people's vectors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from urbanln.gather.local_files import check_network, is_address, resolved
from urbanln.gather.settings import SourceSettings

_YEAR = re.compile(r"(?<!\d)(?:19[89]|20\d)\d(?!\d)")


class EmbeddingSource(SourceSettings):
    """A vector per region, by area from the pixels of rasters or out of a table."""

    form: Literal["plain", "alphaearth", "tessera", "table"] = Field(
        description="plain: numbers of a GeoTIFF as they are; alphaearth: its 8-bit GeoTIFFs; tessera: .npy "
        "with scales; table: a row per place or point"
    )
    files: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(
        min_length=1, max_length=10_000, description="paths (* stands for anything), or addresses of GeoTIFFs"
    )
    grids: str = Field(
        "", max_length=1000, description="folder of Tessera's land masks, which say where its arrays lie"
    )
    bands: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        (), max_length=10_000, description="of the rasters; default: all"
    )
    nodata: tuple[Annotated[float, Field(ge=-1e300, le=1e300)], ...] = Field(
        (), max_length=100, description="stored numbers that stand for no value, besides those of the file"
    )
    ids: str = Field("", max_length=200, description="of a table: its column of ids, or LON,LAT")
    columns: tuple[str, ...] = Field(
        (), max_length=10_000, description="of a table: those that are the vector, also patterns"
    )
    model: str = Field(min_length=1, max_length=200, description="what made the vectors, with its version")
    year: int = Field(ge=1900, le=2200, description="of the data that they tell of")
    min_cover: float = Field(
        1.0, gt=0, le=1, description="share of a region's area that pixels with a vector must cover"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        check_network(self.files, self)
        if any(map(is_address, self.files)) and self.form not in ("plain", "alphaearth"):
            raise ValueError(f'form = "{self.form}" is of files of this machine')
        table = self.form == "table"
        if not table and (self.ids or self.columns):
            raise ValueError('ids and columns are of form = "table"')
        if table and (self.bands or self.nodata or len(self.files) > 1):
            raise ValueError("a table is one file, and has neither bands nor nodata")
        if bool(self.grids) != (self.form == "tessera"):
            raise ValueError('form = "tessera" and grids, the folder of its land masks, go together')
        for file in self.files:
            told = {int(year) for part in Path(file).parts[-2:] for year in _YEAR.findall(part)}
            if told and self.year not in told:
                raise ValueError(f"year = {self.year}, but {file} is of {min(told)}: years are never mixed")
        return self

    def at(self, folder: Path) -> Self:
        """With paths from here, and each ``*`` as the files it stands for."""
        found = [one for one in resolved(folder, self.files) if not one.endswith("_scales.npy")]
        grids = str(folder / self.grids) if self.grids else ""
        return self.model_copy(update={"files": tuple(found), "grids": grids})

    def reads(self) -> list[Path]:
        """The files that lie here, with what has to lie beside them."""
        here = [file for file in self.files if not is_address(file)]
        return [Path(file) for file in here] + [other for file in here for other in self.beside(file)]

    def beside(self, file: str) -> list[Path]:
        """Tessera's scales and the land mask of an array, nothing for other forms.

        Args:
            file: Of the array.
        """
        if self.form != "tessera":
            return []
        path = Path(file)
        masks = [Path(self.grids) / f"{path.stem}{ending}" for ending in (".tiff", ".tif")]
        mask = next((one for one in masks if one.is_file()), masks[0])
        return [path.with_name(f"{path.stem}_scales.npy"), mask]
