"""What a captioner is: something that is asked about a picture, or a part of one, and answers with a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from PIL import Image

from urbanln.base.errors import UrbanLNError, printable
from urbanln.city.checks import is_url
from urbanln.city.pictures import open_picture
from urbanln.city.synthetic.scene import scene_path

if TYPE_CHECKING:
    from urbanln.city.store import City

Stage = Literal["describe", "local", "merge", "repair"]
_LONGEST_PX = 8192  # a strip of a thin picture would take gigabytes
STAGES: tuple[Stage, ...] = ("describe", "local", "merge", "repair")
Box = tuple[float, float, float, float]
"""A part of a picture: left, upper, right, lower edge as fractions of its width and height."""


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
        """Read and decode the picture: upright, RGB, as embedding sees it.

        Raises:
            InputError, OSError: No such file, no picture, or one that is cut off.
        """
        return open_picture(self.read())


@dataclass(frozen=True)
class Prompt:
    """What a captioner is told: the filled-in text, and the hash of the template it comes from.

    Attributes:
        text: Sent as it is; empty for captioners that take no prompt.
        template: First 12 hexadecimal digits of the template's SHA-256; empty without one.
    """

    text: str = ""
    template: str = ""


@dataclass(frozen=True)
class Ask:
    """One question: a picture or a part of it, and what is to be done with it.

    Attributes:
        picture: The picture.
        stage: ``"describe"`` the whole, describe a part (``"local"``), ``"merge"`` what was said, or
            ``"repair"`` a merged text that still names what was rejected.
        prompt: What the captioner is told.
        box: The part that is shown; None for the whole picture.
        min_side: A part whose shorter side has fewer pixels is enlarged to this many, unless its longer one
            would exceed 8,192; 0 leaves it as it is.
    """

    picture: Picture
    stage: Stage = "describe"
    prompt: Prompt = Prompt()
    box: Box | None = None
    min_side: int = 0

    def image(self) -> Image.Image:
        """What is shown: the picture or the part of it in RGB, a small part enlarged (bicubic).

        Raises:
            InputError, OSError: The picture cannot be read.
        """
        shown = self.picture.load()
        if self.box is not None:
            left, upper, right, lower = self.box
            width, height = shown.size
            corner = (round(left * width), round(upper * height))
            far = (max(round(right * width), corner[0] + 1), max(round(lower * height), corner[1] + 1))
            shown = shown.crop((*corner, *far))
        short = min(shown.size)
        if self.box is not None and short < self.min_side:
            scale = min(self.min_side / short, max(1.0, _LONGEST_PX / max(shown.size)))
            size = (max(round(shown.width * scale), 1), max(round(shown.height * scale), 1))
            shown = shown.resize(size, Image.Resampling.BICUBIC)
        return shown


def cut_out(image: Image.Image, box: Box) -> Image.Image:
    """A part of an image, its edges moved outwards to whole pixels; one pixel at least."""
    left, upper = int(box[0] * image.width), int(box[1] * image.height)
    right, lower = math.ceil(box[2] * image.width), math.ceil(box[3] * image.height)
    return image.crop((left, upper, max(right, left + 1), max(lower, upper + 1)))


@dataclass(frozen=True)
class Answer:
    """What a captioner gave.

    Attributes:
        text: As it came, untouched.
        finish: Why it ended, in the captioner's own word, or empty; :mod:`.answers` knows what that means.
        tokens_in: Tokens read, picture included; None where the captioner does not count.
        tokens_out: Tokens written.
        cost_usd: Price of this answer; None where no price is known.
        seconds: From asking to the whole answer.
    """

    text: str
    finish: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """How hard a captioner may be driven, and what it costs.

    Attributes:
        concurrency: Questions under way at once, per process.
        per_minute: Questions begun per minute, per process; 0 means no limit.
        budget_usd: All its answers in a ledger together may cost this much; None means no limit.
        usd_per_million_in: Price of a million tokens read.
        usd_per_million_out: Price of a million tokens written.
        retries: Further tries after a fault that may pass.
        timeout_s: Seconds until an unanswered question counts as failed.
    """

    concurrency: int = 4
    per_minute: float = 0.0
    budget_usd: float | None = None
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0
    retries: int = 5
    timeout_s: float = 120.0

    @property
    def priced(self) -> bool:
        """Whether its answers have a price at all."""
        return self.usd_per_million_in > 0 or self.usd_per_million_out > 0

    def cost(self, tokens_in: int | None, tokens_out: int | None) -> float | None:
        """Price of an answer in US dollars; None where tokens were not counted."""
        if tokens_in is None or tokens_out is None:
            return None
        return (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1e6


# Of a captioner somebody else wrote, which need not say where and what to do; its name is told beside it.
_TOLD: Mapping[str, str] = {
    "where": "captioner",
    "remedy": "run the same command again; it asks what has no answer yet",
}


class CaptionerFault(UrbanLNError):
    """A captioner gave no answer: ask again later (:class:`PassingFault`) or not (:class:`LastingFault`).

    Attributes:
        cost_usd: Price of what it gave nevertheless; None where none is known.
    """

    cost_usd: float | None = None

    def line(self) -> str:
        """All that was said in one line: where, what, in whose words, and what to do about it."""
        where, remedy = (
            None if getattr(self, name) == _TOLD[name] else getattr(self, name) for name in _TOLD
        )
        said = f"{where}: {self.what}" if where else self.what
        said += f", in its words: {self.value}" if self.value else ""
        return printable(said + (f"; {remedy}" if remedy else ""))


class PassingFault(CaptionerFault):
    """It may answer if asked again: too many requests, a server error, a time-out, a dropped connection.

    Args:
        what: What happened.
        retry_after: Seconds the server asked to wait, if it did.
        details: ``value``, ``where`` and ``remedy`` of :class:`urbanln.base.errors.UrbanLNError`.
    """

    def __init__(self, what: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(what, **{**_TOLD, **details})
        self.retry_after = retry_after


class LastingFault(CaptionerFault):
    """Asking the same again is no use: the request was refused (unknown model, bad key, picture too large).

    Args:
        what: What happened.
        whole: True when every other question would be refused too (a wrong key, no such model).
        details: ``value``, ``where`` and ``remedy`` of :class:`urbanln.base.errors.UrbanLNError`.
    """

    def __init__(self, what: str, *, whole: bool = False, **details: Any) -> None:
        super().__init__(what, **{**_TOLD, **details})
        self.whole = whole


@dataclass(frozen=True)
class Identity:
    """What decides a captioner's texts, besides picture and prompt: part of every key in the ledger.

    Attributes:
        name: Stands in the caption table; captioners of one city have different names.
        revision: Of the model, the table or the rules behind it; another revision is asked anew.
        decoding: Temperature, token limit, picture size sent, … as JSON values.
    """

    name: str
    revision: str = ""
    decoding: Mapping[str, Any] = field(default_factory=dict)


class Captioner(Protocol):
    """Answers questions about pictures; what it needs (a server, a model, a table) it is made with.

    One that derives from this class need only say who it is and answer.

    Attributes:
        identity: Name, revision and decoding settings.
        limits: How hard it may be driven.
        prompted: Whether it reads prompts, and so can describe parts and merge texts.
        remote: Address of a server beyond this machine and its network, or None.
        sources: Names and SHA-256 of the files its texts come from.
    """

    identity: Identity
    limits: Limits
    prompted: bool = False
    remote: str | None = None
    sources: Mapping[str, str] = {}  # never changed

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Look at the list of all pictures before the first question.

        Returns:
            Remarks for the report, for example how many rows of a table belong to no picture.

        Raises:
            InputError: This captioner can say nothing about any of these pictures.
        """
        return []

    async def answer(self, ask: Ask) -> Answer | None:
        """Answer one question; several may be under way at once.

        Returns:
            The answer, or None when this captioner has nothing for this picture (counted, not fatal).

        Raises:
            CaptionerFault: The captioner failed.
            OSError, ValueError, InputError: The picture cannot be read; it is reported and left out.
        """

    async def close(self) -> None:
        """Let go of connections and models; it may be asked again afterwards."""
        return None


def pictures_of(city: City, view: str = "both") -> list[Picture]:
    """The pictures of a city in the order of its table of images.

    Args:
        city: An open city.
        view: ``"satellite"``, ``"street"`` or ``"both"``.
    """

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

    table = city.images if view == "both" else city.images[city.images["view"] == view]
    columns = (table["image_id"], table["view"], table["path"], table["sha256"])
    return [one(*row) for row in zip(*columns, strict=True)]
