"""What a source of a city is: it says what to ask, and makes of the answers what the city keeps.

A source is a folder with the same few files: ``settings`` (its section of a recipe), ``api`` (the class that
is a :class:`Source`: which requests), ``parse`` (what answers say), ``picture`` (what is made of them). It
never asks anybody itself: :mod:`urbanln.gather.fetching` does, for all sources alike, and keeps every answer;
building reads kept answers alone, so that it ends the same however often asking was cut off.

To add one: its settings in a section of :class:`urbanln.gather.recipe.Recipe`, and its class in
:data:`urbanln.gather.run.KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import pandas as pd

from urbanln.base.errors import InputError
from urbanln.city.meta import IndicatorNote
from urbanln.gather.settings import SourceSettings


@dataclass(frozen=True)
class Request:
    """One thing to ask for.

    Attributes:
        url: The address; ``{key}`` stands for the source's key, which the client fills in and nobody keeps.
        kind: What an answer has to look like; another one is an error of the server, and is not kept.
        name: What the answer is kept under; the address by default. Of its own where an address expires.
        headers: Sent along besides the source's own; part of what the answer is kept under.
        anew: Of a picture whose address expires: an address whose answer, JSON, says the picture's anew.
        says: The key under which it does.
        size: Bytes of an answer, at most, where that is known before; 0 where it is not.
        head: Whether the answer says what else is to be asked of a file.
    """

    url: str
    kind: Literal["picture", "json", "bytes"] = "bytes"
    name: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    anew: str = ""
    says: str = ""
    size: int = 0
    head: bool = False


BROKEN = 422
"""Status under which an answer is kept of which a source found that it cannot be used."""


@dataclass(frozen=True)
class Answer:
    """What a server said.

    Attributes:
        status: Of HTTP; 200 and 206 brought something, 204, 404 and 410 mean that there is nothing, and
            ``BROKEN`` that it could not be used.
        data: The content.
    """

    status: int
    data: bytes

    @property
    def there(self) -> bool:
        """Whether there is something."""
        return self.status in (200, 206)


class AnswerError(InputError):
    """An answer that no recipe could use; it is not kept, so that it is asked for again."""


Answers = Callable[[Request], Answer | None]
"""The kept answer to a request; None where there was none."""

STATES = ("picture", "label", "vector", "partial", "blank", "absent", "broken", "unanswered")
"""What became of a region: it has what was asked for; too little of it is there; what is there is "no
imagery"; there is nothing; it cannot be read; nobody answered."""


@dataclass
class Built:
    """What a source gives to a city.

    Attributes:
        coverage: ``region_id`` → one of ``STATES``, for every region.
        images: Rows of the city's table of pictures; their files are in the city's folder already.
        indicators: ``region_id`` and label columns; None where the source has none.
        notes: Unit and year per label.
        said: What else a reader should know, in lines.
        shares: ``region_id`` → share of its area that is covered; None where that has no meaning.
    """

    coverage: pd.Series
    images: pd.DataFrame | None = None
    indicators: pd.DataFrame | None = None
    notes: dict[str, IndicatorNote] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    shares: pd.Series | None = None


class Source(Protocol):
    """A source of pictures or labels."""

    @property
    def name(self) -> str:
        """What the recipe calls it."""
        ...

    @property
    def settings(self) -> SourceSettings:
        """Its section of the recipe."""
        ...

    def pictures(self) -> int:
        """How many pictures it would give if all were there."""
        ...

    def hosts(self) -> list[str]:
        """The hosts that its addresses name."""
        ...

    def first(self) -> Iterator[Request]:
        """All that can be asked before anything is known, each once, in an order that is always the same."""
        ...

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """What an answer leads to: the next page, the pictures that a search found. Usually nothing.

        Raises:
            UrbanLNError: The source cannot use it; that ends this source alone. An :class:`AnswerError` where
                the fault is the answer's.
        """
        ...

    def build(self, answers: Answers, folder: Path) -> Built:
        """Make of the kept answers what the city keeps; asks nobody.

        Args:
            answers: The kept answers.
            folder: Of the city; pictures go into ``pictures/NAME`` there.
        """
        ...


@runtime_checkable
class Judging(Source, Protocol):
    """A source that looks at what arrives, once, and notes what cannot be used."""

    def judged(self, request: Request, answer: Answer) -> Answer:
        """The answer as it is to be kept."""
        ...


@runtime_checkable
class Leading(Source, Protocol):
    """A source whose answers lead to more requests: searches that find pictures."""

    def more(self) -> int:
        """How many requests the answers that are not known yet may lead to, at most."""
        ...


class AtHand:
    """The part of a :class:`Source` that asks nobody: its files lie on this machine."""

    def hosts(self) -> list[str]:
        """None."""
        return []

    def first(self) -> Iterator[Request]:
        """Nothing."""
        return iter(())

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """Nothing."""
        return ()
