"""What a captioner is: something that is shown a picture and gives a text."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from urbanln.city.checks import is_url
from urbanln.city.synthetic.scene import scene_path

if TYPE_CHECKING:
    from urbanln.city.store import City


@dataclass(frozen=True)
class Picture:
    """One picture of a city, read only when a captioner asks for its content.

    Attributes:
        image_id: Its id in the city.
        view: ``"satellite"`` or ``"street"``.
        path: As the city's table of images has it: relative to the folder, or an address.
        sha256: Hash of the file; empty when it is not known.
        read: Gives the file's bytes.
        scene_path: The true scene kept beside a synthetic picture; None where there is none.
    """

    image_id: str
    view: str
    path: str
    sha256: str
    read: Callable[[], bytes]
    scene_path: Path | None = None

    def load(self) -> Image.Image:
        """Read and decode the picture.

        Raises:
            InputError: No such file.
            OSError: The file is no picture, or is cut off.
        """
        image = Image.open(io.BytesIO(self.read()))
        image.load()
        return image


class Captioner(Protocol):
    """Gives texts for pictures; what it needs (a server, a model, a table) it is made with.

    A captioner replaces the texts that one of the same name gave for the same pictures earlier.
    """

    @property
    def name(self) -> str:
        """Stands in the caption table."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Names and SHA-256 of the files the texts come from."""

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Look at the list of all pictures before the first one is described.

        Returns:
            Remarks for the report, for example how many rows of a table belong to no picture.

        Raises:
            InputError: This captioner can say nothing about any of these pictures.
        """

    def caption(self, picture: Picture) -> str | None:
        """Describe one picture; may be called from several threads at once.

        Returns:
            The text, or None when this captioner has nothing for this picture (counted, not fatal).

        Raises:
            OSError, ValueError, UrbanLNError: The picture cannot be read; it is reported and left out.
        """


def pictures_of(city: City) -> list[Picture]:
    """All pictures of a city in the order of its table of images."""

    def one(image_id: str, view: str, path: str, sha256: object) -> Picture:
        scene = None if is_url(path) else scene_path(city.folder / path)
        return Picture(
            image_id=image_id,
            view=view,
            path=path,
            sha256=sha256 if isinstance(sha256, str) else "",
            read=lambda: city.image_bytes(path),
            scene_path=scene if scene is not None and scene.is_file() else None,
        )

    table = city.images
    return [
        one(*row)
        for row in zip(table["image_id"], table["view"], table["path"], table["sha256"], strict=True)
    ]
