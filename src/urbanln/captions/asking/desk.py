"""The desk before a captioner: looks into the ledger, keeps limits and budget, tries again, knows its end."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from urbanln.base.errors import UrbanLNError
from urbanln.base.files import hash_bytes
from urbanln.base.saying import say
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.ledger_claims import Budget
from urbanln.captions.captioners.answers import NothingSaid, judge, require_answer
from urbanln.captions.captioners.base import (
    Answer,
    Ask,
    Captioner,
    CaptionerFault,
    LastingFault,
    Limits,
    PassingFault,
)

DOWN_AFTER = 3
"""So many questions in a row given up, and a captioner counts as down."""
REFUSED_AFTER = 10
"""So many questions in a row refused for good or answered with nothing, and it is taken to do so with all."""
MOST_PATIENCE_S = 600.0
"""A server that asks for a longer rest than this is not waited for: the question is given up at once."""
ANNOUNCED_S = 5.0
"""A rest of this length or more is said on stderr when the first one begins."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_LOOK_S, _LONGEST_LOOK_S = 0.02, 0.5
# What a question may take at most. Assumptions, on the generous side: models cut a picture into patches of
# 14 pixels or larger, and a token of English prose is rarely shorter than two letters.
_PATCH, _LETTERS_PER_TOKEN = 14, 2
_EDGE, _OUT = 768, 400


class Stopped(UrbanLNError):
    """A captioner takes no more questions in this run: it is down, refuses all, or its budget is spent."""


@dataclass
class Counts:
    """What came of the questions put to a desk.

    Attributes:
        answered: Answers the captioner gave now.
        from_ledger: Answers that were in the ledger, or that another process got meanwhile.
        nothing: Pictures the captioner has nothing for.
        errors: Questions given up.
        retries: Further tries.
        cost_usd: Price of the answers given now.
        under_way: Questions being asked at this moment.
    """

    answered: int = 0
    from_ledger: int = 0
    nothing: int = 0
    errors: int = 0
    retries: int = 0
    cost_usd: float = 0.0
    under_way: int = 0


class Desk:
    """Puts questions to one captioner; belongs to one event loop.

    Any number of questions may wait here at once: no more than the captioner's limits allow go out. An
    answer that is in the ledger is never asked for again, and one that comes is in it before it is handed on.

    Args:
        captioner: Who answers.
        ledger: Where answers and errors are kept.
        budget_usd: What all answers of all captioners in the ledger may cost; None means no limit. The
            captioner's own budget holds besides.
        down_after: So many questions in a row whose retries were used up mean that the captioner is down.
        sleep: Waits some seconds; another one in tests.
        clock: Seconds, ever growing; another one in tests.
        jitter: Gives a number in [0, 1), spreading the retries of many clients (full jitter).

    Attributes:
        counts: What has come of the questions so far.
        stopped: Why this desk takes no more questions, or None.
        met_others: Whether another client was asking what this one was about to ask.
    """

    def __init__(
        self,
        captioner: Captioner,
        ledger: Ledger,
        *,
        budget_usd: float | None = None,
        down_after: int = DOWN_AFTER,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.captioner, self.ledger = captioner, ledger
        self.counts = Counts()
        self.stopped: str | None = None
        self.met_others = False
        self._keys: set[str] = set()  # that are being asked
        self._limits, self._identity = captioner.limits, captioner.identity
        self._total_usd, self._down_after = budget_usd, down_after
        self._sleep, self._clock, self._jitter = sleep, clock, jitter
        self._slots = asyncio.Semaphore(self._limits.concurrency)
        self._next_start = 0.0  # of the next question, as the rate allows and the server wishes
        self._failed_in_a_row = self._refused_in_a_row = 0
        self._dearest_usd = 0.0
        self._announced = False
        self._began: float | None = None
        self._hashes: dict[str, str] = {}

    async def ask(self, ask: Ask) -> Answer | None:
        """The answer to a question, from the ledger or from the captioner.

        Returns:
            The answer; None when the captioner has nothing for this picture.

        Raises:
            Stopped: The captioner takes no more questions in this run. What the ledger knows is still given.
            PassingFault: It failed as often as it may be tried again; kept as an error in the ledger.
            LastingFault: It refused this question; kept as an error in the ledger.
            OSError, ValueError, InputError: The picture cannot be read.
        """
        ask = await self._with_hash(ask)
        key = ask_key(ask, self._identity)
        look = _LOOK_S
        while True:
            found = self._known(key)
            if found is not None:
                self.counts.from_ledger += 1
                return found
            async with self._slots:
                self.go_on()
                if self._claim(key, ask):
                    return await self._asked(key, ask)
            # Somebody else asks it now, or calls under way may use up the budget: look again soon.
            await self._sleep(look)
            look = min(2 * look, _LONGEST_LOOK_S)

    def _known(self, key: str) -> Answer | None:
        """The answer in the ledger; a text that is none, from before there was a rule, is set aside."""
        found = self.ledger.find(key)
        if found is None:
            return None
        said = judge(found.text, found.finish)
        if not said.answered:
            self.ledger.set_aside(key, found.text, said.why)
            return None
        return replace(found, text=said.text, finish=said.finish)

    def note(self) -> str:
        """The counts in a few words, for a progress line."""
        c = self.counts
        passed = 0.0 if self._began is None else self._clock() - self._began
        rate = c.answered / passed if passed > 0 else 0.0
        parts = [f"{c.answered} answered", f"{c.from_ledger} known" if c.from_ledger else ""]
        parts += [f"{c.errors} errors" if c.errors else "", f"{rate:.1f}/s" if c.answered else ""]
        parts += [f"${c.cost_usd:.2f}" if c.cost_usd else "", "stopped" if self.stopped else ""]
        return f"{self._identity.name}: {', '.join(part for part in parts if part)}"

    def go_on(self, after: Exception | None = None) -> None:
        """Say so where this captioner takes no more questions.

        Raises:
            Stopped: It does not.
        """
        if self.stopped is not None:
            raise Stopped(
                f"{self._identity.name} takes no more questions: {self.stopped}",
                where=self._identity.name,
                remedy="put that right, and run the same command again",
            ) from after

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason

    async def _with_hash(self, ask: Ask) -> Ask:
        """The question with its picture's hash, which is worked out once per picture."""
        picture = ask.picture
        if picture.sha256:
            return ask
        if picture.path not in self._hashes:
            data = await asyncio.to_thread(picture.read)
            self._hashes[picture.path] = hash_bytes(data)
        return replace(ask, picture=replace(picture, sha256=self._hashes[picture.path]))

    def _claim(self, key: str, ask: Ask) -> bool:
        name, budget = self._identity.name, Budget()
        if self._limits.budget_usd is not None or self._total_usd is not None:
            reserve = max(most_usd(ask, self._identity.decoding, self._limits), self._dearest_usd)
            budget = Budget(reserve, self._limits.budget_usd, self._total_usd)
        said = self.ledger.claim(key, name, budget)
        if said == "spent":
            so_far = f"${self.ledger.spent_usd(name):.4f} by it, ${self.ledger.spent_usd():.4f} in all"
            self._stop(f"the budget is spent ({so_far}; one more may cost ${budget.reserve_usd:.4f})")
            self.go_on()
        self.met_others |= said == "held" and key not in self._keys
        return said == "mine"

    async def _asked(self, key: str, ask: Ask) -> Answer | None:
        """Ask the captioner under the claim on ``key``; whatever happens, the claim is gone afterwards."""
        self._began = self._clock() if self._began is None else self._began
        self.counts.under_way += 1
        self._keys.add(key)
        try:
            answer = await self._tried(key, ask)
            if answer is None:
                self.counts.nothing += 1
                return None
            self.counts.answered += 1
            self.counts.cost_usd += answer.cost_usd or 0.0
            self._dearest_usd = max(self._dearest_usd, answer.cost_usd or 0.0)
            self.ledger.record(key, ask, self._identity, answer)
            # As the ledger has it, so that a later run goes on from the very same text.
            return self._known(key)
        finally:
            self.counts.under_way -= 1
            self._keys.discard(key)
            self.ledger.release(key)

    async def _tried(self, key: str, ask: Ask) -> Answer | None:
        attempts = 0
        while True:
            await self._pace()
            self.go_on()
            attempts += 1
            try:
                answer = await self.captioner.answer(ask)
                if answer is not None:
                    require_answer(answer, self._identity.name)
            except (PassingFault, LastingFault) as fault:
                if fault.cost_usd:  # a thought without an answer is paid for too
                    self.counts.cost_usd += fault.cost_usd
                    self.ledger.charge(self._identity.name, fault.cost_usd)
                # What lasts is worth no wait, however long.
                pause = (fault.retry_after or 0.0) if isinstance(fault, PassingFault) else math.inf
                if attempts > self._limits.retries or pause > MOST_PATIENCE_S:
                    self._give_up(key, ask, fault, attempts)
                    self.go_on(after=fault)
                    raise
                self.counts.retries += 1
                self._announce(fault, pause)
                await self._wait(attempts, pause)
            else:
                self._failed_in_a_row = self._refused_in_a_row = 0
                return answer

    def _give_up(self, key: str, ask: Ask, fault: PassingFault | LastingFault, attempts: int) -> None:
        self.counts.errors += 1
        rest = (fault.retry_after or 0.0) if isinstance(fault, PassingFault) else 0.0
        if rest > MOST_PATIENCE_S:
            fault.what += (
                f" and asks for a rest of {rest:.0f} s, more than the {MOST_PATIENCE_S:.0f} s waited"
            )
        self.ledger.record_error(key, ask, self._identity, str(fault), attempts)
        if isinstance(fault, PassingFault) and not isinstance(fault, NothingSaid):
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self._down_after:
                self._stop(f"{self._failed_in_a_row} questions in a row failed, the last one: {fault.line()}")
            return
        self._refused_in_a_row += 1
        if isinstance(fault, LastingFault) and fault.whole:
            self._stop(f"it refuses every question: {fault.line()}")
        elif self._refused_in_a_row >= REFUSED_AFTER:
            row = f"{self._refused_in_a_row} questions in a row got no answer"
            self._stop(f"{row}, the last one: {fault.line()}")

    def _announce(self, fault: CaptionerFault, pause: float) -> None:
        """Say the first long rest, so that nobody takes the silence for a hang."""
        if pause >= ANNOUNCED_S and not self._announced:
            self._announced = True
            line = f"{self._identity.name} asks for a rest of {pause:.0f} s: waiting, then going on by itself"
            say(f"{line} ({fault.line()})")

    async def _pace(self) -> None:
        """Wait for this question's turn: 60 / per_minute seconds apart, and none while the server rests."""
        while (wait := self._next_start - self._clock()) > 0:
            await self._sleep(wait)
        if self._limits.per_minute > 0:
            self._next_start = self._clock() + 60.0 / self._limits.per_minute

    async def _wait(self, attempts: int, retry_after: float) -> None:
        """Exponential back-off with full jitter; a server's own wish comes first and holds for all."""
        longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (attempts - 1))
        if not retry_after:  # 0, or a date that has passed, would be no pause at all
            await self._sleep(longest * self._jitter())
            return
        self._next_start = max(self._next_start, self._clock() + retry_after)
        # Some spread, so that all who were sent away do not come back in the same instant.
        await self._sleep(retry_after * (1.0 + 0.25 * self._jitter()))


def most_tokens(ask: Ask, decoding: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens a question may take and its answer may have, at most.

    Args:
        ask: The question.
        decoding: Of the captioner's identity; ``max_edge``, ``max_tokens`` and ``max_tokens_local`` count.
    """
    edge = int(decoding.get("max_edge", _EDGE))
    local = ask.stage == "local" and "max_tokens_local" in decoding
    out = int(decoding["max_tokens_local"] if local else decoding.get("max_tokens", _OUT))
    return (edge // _PATCH) ** 2 + len(ask.prompt.text) // _LETTERS_PER_TOKEN + 64, out


def most_usd(ask: Ask, decoding: Mapping[str, Any], limits: Limits) -> float:
    """Price of :func:`most_tokens` in US dollars, set aside before a question is asked; 0 without prices."""
    return limits.cost(*most_tokens(ask, decoding)) or 0.0
