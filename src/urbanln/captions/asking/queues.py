"""Every picture to every captioner: each with a queue of its own, its answers refined where it can be."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from urbanln.base.event_loop import run_async
from urbanln.base.progress import Advance, progress
from urbanln.base.spool import spooled
from urbanln.captions.asking.desk import Counts, Desk, Stopped
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_schema import LedgerFault
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Captioner, CaptionerFault, Picture
from urbanln.captions.cleaning.text_faults import describes
from urbanln.captions.refine.flow import Tools, describe_ask, known_parts, refine_picture
from urbanln.captions.refine.grounding import Calibration
from urbanln.city.pictures import READ_ERRORS, unreadable

_TOLD = 3  # kinds of fault that one line names
COLUMNS = ("image_id", "captioner", "caption", "finish")
_SPOOLED = 8_192  # rows that are handed over at a time


@dataclass
class Asked:
    """What came of asking.

    Attributes:
        texts: ``image_id, captioner, caption, finish``, by picture in order, then by captioner.
        skipped: Picture's path → why it could not be read.
        nothing: Captioner → pictures it had nothing for.
        failed: Captioner → pictures it gave no answer for, though asked again.
        faults: Captioner → what went wrong with these, in words, and how often.
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
    faults: dict[str, Counter[str]] = field(default_factory=dict)
    stopped: dict[str, tuple[str, int]] = field(default_factory=dict)
    refined: int = 0
    remaining: int = 0
    calibration: Calibration | None = None
    counts: dict[str, Counts] = field(default_factory=dict)

    def stop_line(self, name: str) -> str:
        """Why a captioner was stopped, in one line."""
        reason, left = self.stopped[name]
        return f"{name} was stopped with {left} {'picture' if left == 1 else 'pictures'} left: {reason}"

    def fault_line(self, name: str) -> str:
        """What went wrong with a captioner's answers, the most frequent first, in one line."""
        told = self.faults[name].most_common(_TOLD)
        if len(self.faults[name]) == 1:
            return told[0][0]
        more = sum(self.faults[name].values()) - sum(count for _, count in told)
        parts = [f"{count} × {reason}" for reason, count in told]
        return " | ".join([*parts, *([f"and {more} more"] if more else [])])


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

    Raises:
        LedgerFault: The ledger cannot be used: nothing more is asked.
    """
    return run_async(_Round(pictures, captioners, ledger, prompts, tools, budget_usd).run())


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
        if tools is not None:
            self._asked.calibration = Calibration(tools.grounder, tools.settings.threshold)

    async def run(self) -> Asked:
        with progress("captions", len(self._pictures) * len(self._desks)) as advance:
            try:
                async with asyncio.TaskGroup() as group:
                    for place, desk in enumerate(self._desks):
                        group.create_task(self._queue(place, desk, advance))
            except BaseExceptionGroup as several:
                error: BaseException = several  # the first one ended the tasks
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                raise error from error.__cause__
            finally:
                await asyncio.gather(*(desk.captioner.close() for desk in self._desks))
        asked, names = self._asked, [desk.captioner.identity.name for desk in self._desks]
        asked.texts = spooled(self._rows(names), pd.DataFrame(columns=list(COLUMNS), dtype="str"))
        asked.calibration = asked.calibration if asked.refined else None
        asked.counts = dict(zip(names, (desk.counts for desk in self._desks), strict=True))
        return asked

    def _rows(self, names: list[str]) -> Iterator[pd.DataFrame]:
        """The texts in the order of the pictures, which are let go as they are handed over."""
        said = sorted(self._texts)
        for start in range(0, len(said), _SPOOLED):
            rows = [
                (self._pictures[number].image_id, names[place], *self._texts.pop((number, place)))
                for number, place in said[start : start + _SPOOLED]
            ]
            yield pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")

    async def _queue(self, place: int, desk: Desk, advance: Advance) -> None:
        """Work through the pictures, as many at once as the captioner takes questions."""
        waiting = deque(range(len(self._pictures)))
        name, in_order = desk.captioner.identity.name, True

        async def work() -> None:
            nonlocal in_order
            while waiting:
                if in_order and desk.met_others:  # or all clients would wait for the answers of the first
                    in_order, rest = False, [*waiting]
                    random.Random().shuffle(rest)  # each client's own
                    waiting.clear()
                    waiting.extend(rest)
                number = waiting.popleft()
                try:
                    await self._one(place, desk, number)
                except Stopped as stopped:
                    # The others are gone through nevertheless: the ledger may know them.
                    left = self._asked.stopped.get(name, ("", 0))[1] + 1
                    self._asked.stopped[name] = (desk.stopped or stopped.what, left)
                advance(1, "; ".join(one.note() for one in self._desks))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(desk.captioner.limits.concurrency, len(waiting))):
                group.create_task(work())

    async def _one(self, place: int, desk: Desk, number: int) -> None:
        picture, name = self._pictures[number], desk.captioner.identity.name
        try:
            text = await self._text(desk, picture)
        except (Stopped, LedgerFault):
            raise
        except CaptionerFault as fault:
            self._asked.failed[name] = self._asked.failed.get(name, 0) + 1
            self._asked.faults.setdefault(name, Counter())[fault.line()] += 1
        except READ_ERRORS as error:
            self._asked.skipped[picture.path] = unreadable(picture.path, error)
        else:
            if text is None:
                self._asked.nothing[name] = self._asked.nothing.get(name, 0) + 1
            else:
                self._texts[number, place] = text

    async def _text(self, desk: Desk, picture: Picture) -> tuple[str, str] | None:
        """A captioner's last word on a picture and why it ended."""
        captioner = desk.captioner
        if not picture.sha256:
            desk.go_on()  # else not worth being fetched for its hash
        answer = await desk.ask(describe_ask(picture, captioner, self._prompts))
        if answer is None:
            return None
        if self._tools is None or not captioner.prompted or not describes(answer.text, answer.finish):
            return answer.text, answer.finish
        return await self._refined(desk, picture, answer, self._tools)

    async def _refined(self, desk: Desk, picture: Picture, answer: Answer, tools: Tools) -> tuple[str, str]:
        name = desk.captioner.identity.name
        if (
            desk.stopped is not None
            and known_parts(picture, tools.settings, tools.segmenter, tools.facts) is None
        ):
            desk.go_on()  # not worth it for its parts: they have not been described
        found = await refine_picture(picture, answer, captioner=name, ask=desk.ask, tools=tools)
        self._asked.refined += found.stage != "describe"
        self._asked.remaining += len(found.remaining)
        if self._asked.calibration is not None:
            self._asked.calibration.add(found.phrases)
        return found.text, found.finish
