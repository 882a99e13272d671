"""Every picture to every captioner: each with a queue of its own, its answers refined where it can be."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from urbanln.captions.asking.desk import Counts, Desk, Stopped
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Ask, Captioner, CaptionerFault, Picture
from urbanln.captions.cleaning.text_faults import find_refusal, is_wordless
from urbanln.captions.refine.flow import Tools, refine_picture
from urbanln.captions.refine.grounding import Calibration
from urbanln.city.pixels import READ_ERRORS, unreadable
from urbanln.progress import Advance, progress

COLUMNS = ("image_id", "captioner", "caption", "finish")


@dataclass
class Asked:
    """What came of asking.

    Attributes:
        texts: ``image_id, captioner, caption, finish``, by picture in order, then by captioner.
        skipped: Picture's path → why it could not be read.
        nothing: Captioner → pictures it had nothing for.
        failed: Captioner → pictures it gave no answer for, though asked again.
        stopped: Captioner → why its queue was stopped, and how many pictures were left.
        refined: Texts that were merged from parts.
        remaining: Rejected phrases that stand in refined texts nevertheless.
        calibration: How many phrases the grounder kept; None where nothing was refined.
        counts: Captioner → answers, repeats, errors, tokens and cost of this call.
    """

    texts: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))
    skipped: dict[str, str] = field(default_factory=dict)
    nothing: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, tuple[str, int]] = field(default_factory=dict)
    refined: int = 0
    remaining: int = 0
    calibration: Calibration | None = None
    counts: dict[str, Counts] = field(default_factory=dict)


def ask_all(
    pictures: Sequence[Picture],
    captioners: Sequence[Captioner],
    ledger: Ledger,
    prompts: Prompts,
    *,
    tools: Tools | None = None,
    budget_usd: float | None = None,
) -> Asked:
    """Ask every captioner about every picture, as far as the ledger does not know the answer.

    Args:
        pictures: In the order of the result.
        captioners: In the order of the result.
        ledger: Knows earlier answers and keeps new ones.
        prompts: Of the run.
        tools: For refining the texts of captioners that read prompts; None leaves texts as described.
        budget_usd: What all answers in the ledger may cost; None means no limit but the captioners' own.
    """
    return asyncio.run(_Round(pictures, captioners, ledger, prompts, tools, budget_usd).run())


class _Round:
    """One call of :func:`ask_all`: the queues and what they have brought so far."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        captioners: Sequence[Captioner],
        ledger: Ledger,
        prompts: Prompts,
        tools: Tools | None,
        budget_usd: float | None,
    ) -> None:
        self._pictures, self._prompts, self._tools = pictures, prompts, tools
        self._desks = [Desk(captioner, ledger, budget_usd=budget_usd) for captioner in captioners]
        self._texts: dict[tuple[int, int], tuple[str, str]] = {}
        self._asked = Asked()
        self._calibration = Calibration(tools.grounder, tools.settings.threshold) if tools else None

    async def run(self) -> Asked:
        with progress("captions", len(self._pictures) * len(self._desks)) as advance:
            queues = [self._queue(place, desk, advance) for place, desk in enumerate(self._desks)]
            try:
                await asyncio.gather(*queues)
            finally:
                await asyncio.gather(*(desk.captioner.close() for desk in self._desks))
        asked, names = self._asked, [desk.captioner.identity.name for desk in self._desks]
        rows = [
            (self._pictures[at].image_id, names[place], *text)
            for (at, place), text in sorted(self._texts.items())
        ]
        asked.texts = pd.DataFrame(rows, columns=list(COLUMNS))
        asked.calibration = self._calibration if asked.refined else None
        asked.counts = dict(zip(names, (desk.counts for desk in self._desks), strict=True))
        return asked

    async def _queue(self, place: int, desk: Desk, advance: Advance) -> None:
        """Work through the pictures, as many at once as the captioner takes questions."""
        waiting = deque(range(len(self._pictures)))
        name = desk.captioner.identity.name

        async def work() -> None:
            while waiting:
                at = waiting.popleft()
                try:
                    await self._one(place, desk, at)
                except Stopped as stopped:
                    left = self._asked.stopped.get(name, ("", 0))[1] + 1 + len(waiting)
                    self._asked.stopped[name] = (stopped.what, left)
                    waiting.clear()
                advance(1, self._note())

        async with asyncio.TaskGroup() as group:
            for _ in range(min(desk.captioner.limits.concurrency, len(waiting))):
                group.create_task(work())

    async def _one(self, place: int, desk: Desk, at: int) -> None:
        picture, name = self._pictures[at], desk.captioner.identity.name
        try:
            text = await self._text(desk, picture)
        except Stopped:
            raise
        except CaptionerFault:
            self._asked.failed[name] = self._asked.failed.get(name, 0) + 1
        except READ_ERRORS as error:
            self._asked.skipped[picture.path] = unreadable(picture.path, error)
        else:
            if text is None:
                self._asked.nothing[name] = self._asked.nothing.get(name, 0) + 1
            else:
                self._texts[at, place] = text

    async def _text(self, desk: Desk, picture: Picture) -> tuple[str, str] | None:
        """A captioner's last word on a picture and why it ended."""
        captioner = desk.captioner
        asked = Ask(picture)
        if captioner.prompted:
            asked = Ask(picture, prompt=self._prompts.render("describe", picture.view))
        answer = await desk.ask(asked)
        if answer is None:
            return None
        if self._tools is None or not captioner.prompted or not _worth_refining(answer.text):
            return answer.text, answer.finish
        return await self._refined(desk, picture, answer, self._tools)

    async def _refined(self, desk: Desk, picture: Picture, answer: Answer, tools: Tools) -> tuple[str, str]:
        name = desk.captioner.identity.name
        found = await refine_picture(picture, answer, captioner=name, ask=desk.ask, tools=tools)
        self._asked.refined += found.stage != "describe"
        self._asked.remaining += len(found.remaining)
        if self._calibration is not None:
            self._calibration.add(found.phrases)
        return found.text, found.finish

    def _note(self) -> str:
        """What each captioner has answered so far, for the progress line."""
        return "; ".join(desk.note() for desk in self._desks)


def _worth_refining(text: str) -> bool:
    return not is_wordless(text) and find_refusal(text) is None
