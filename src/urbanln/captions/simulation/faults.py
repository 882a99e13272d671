"""What can go wrong with a captioning server, at stated rates, and what was asked of one."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from urbanln.base.errors import InputError
from urbanln.captions.simulation.wording import generator

REFUSAL = "I'm sorry, but I can't help with describing this picture."
KINDS = ("too_many", "server_error", "hang", "drop", "cut", "refusal", "broken_json")


@dataclass(frozen=True)
class Faults:
    """Chances of each fault per request, and how they show.

    Which request fails depends on the seed, on what is asked and on how often it was asked before, not on the
    order in which requests come.

    Attributes:
        too_many: 429 with ``Retry-After``.
        server_error: 500.
        hang: No answer until the client gives up, or ``hang_s`` have passed; then the connection is dropped.
        drop: The connection is dropped in the middle of the answer.
        cut: The text ends in the middle of a word, ``finish_reason`` is "length".
        refusal: "I'm sorry, but …" instead of a description.
        broken_json: The answer's body is half an object.
        seed: Another seed, other requests fail.
        retry_after_s: What ``Retry-After`` says, in seconds.
        hang_s: The longest a hanging request is held, in seconds.

    Raises:
        InputError: A rate outside 0–1, or rates that add up to more than 1.
    """

    too_many: float = 0.0
    server_error: float = 0.0
    hang: float = 0.0
    drop: float = 0.0
    cut: float = 0.0
    refusal: float = 0.0
    broken_json: float = 0.0
    seed: int = 0
    retry_after_s: float = 0.05
    hang_s: float = 60.0

    def __post_init__(self) -> None:
        rates = {kind: getattr(self, kind) for kind in KINDS}
        for kind, rate in rates.items():
            if not 0.0 <= rate <= 1.0:
                raise InputError("a fault's rate must be from 0 to 1", value=rate, where=kind)
        if sum(rates.values()) > 1 + 1e-9:
            raise InputError("the rates of faults add up to more than 1", value=sum(rates.values()))

    @classmethod
    def spread(cls, rate: float, seed: int = 0, **how: Any) -> Faults:
        """All kinds equally often, together at this rate.

        Args:
            rate: Share of requests that go wrong.
            seed: As in the class.
            how: ``retry_after_s`` and ``hang_s``.
        """
        return cls(**{kind: rate / len(KINDS) for kind in KINDS}, seed=seed, **how)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    def draw(self, what: str, attempt: int) -> str | None:
        """The fault of one request, or None.

        Args:
            what: What is asked.
            attempt: How often it was asked before.
        """
        at = generator(self.seed, "fault", f"{what}\n{attempt}").random()
        for kind in KINDS:
            at -= getattr(self, kind)
            if at < 0:
                return kind
        return None


class RequestLog:
    """Counts what was asked and answered; several threads may use it."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, key: str) -> int:
        """Count a question; returns how often it was asked before."""
        with self._lock:
            self._asked[key] += 1
            return self._asked[key] - 1

    def answer(self, key: str) -> None:
        """Count an answer, before it is sent: whoever has received it finds it counted."""
        with self._lock:
            self._answered[key] += 1

    def unsent(self, key: str) -> None:
        """Take an answer back that could not be sent."""
        with self._lock:
            self._answered[key] -= 1

    def fault(self, kind: str) -> None:
        """Count a fault."""
        with self._lock:
            self._faults[kind] += 1

    def to_json(self) -> Mapping[str, Mapping[str, int]]:
        """``asked`` and ``answered`` by key, ``faults`` by kind."""
        with self._lock:
            return {
                "asked": dict(self._asked),
                "answered": dict(self._answered),
                "faults": dict(self._faults),
            }
