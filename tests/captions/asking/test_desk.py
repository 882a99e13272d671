"""The desk: limits, retries, budgets and stopping, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from urbanln.base.errors import InputError
from urbanln.captions.asking.desk import MOST_PATIENCE_S, Desk, Stopped, most_tokens, most_usd
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.captioners.base import (
    Answer,
    Ask,
    Captioner,
    Identity,
    LastingFault,
    Limits,
    PassingFault,
    Picture,
    Prompt,
)


class Told:
    """A captioner that does what a function says, and counts what it is asked."""

    prompted = True
    remote: str | None = None
    sources: Mapping[str, str] = {}

    def __init__(self, do: Callable[[int], Answer | None], name: str = "told", **limits: Any) -> None:
        self.identity, self.limits = (
            Identity(name, "1", {"max_tokens": 100, "max_edge": 64}),
            Limits(**limits),
        )
        self.calls: list[float] = []
        self.at_once = self.most_at_once = 0
        self.clock: Callable[[], float] = lambda: 0.0
        self._do = do

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        return []

    async def close(self) -> None:
        return None

    async def answer(self, ask: Ask) -> Answer | None:
        self.calls.append(self.clock())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.001)
            return self._do(len(self.calls))
        finally:
            self.at_once -= 1


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def _asks(count: int) -> list[Ask]:
    return [
        Ask(Picture(f"i{n}", "street", f"{n}.png", f"{n:064x}", bytes), prompt=Prompt("Say.", "t"))
        for n in range(count)
    ]


def _desk(captioner: Told, ledger: Ledger, clock: Clock | None = None, **more: Any) -> Desk:
    if clock is not None:
        captioner.clock = clock
        more = {"sleep": clock.sleep, "clock": clock, **more}
    typed: Captioner = captioner
    return Desk(typed, ledger, **{"jitter": lambda: 1.0, **more})


def _run(desk: Desk, asks: Sequence[Ask]) -> list[Answer | BaseException | None]:
    async def all_of_them() -> list[Answer | BaseException | None]:
        return await asyncio.gather(*(desk.ask(ask) for ask in asks), return_exceptions=True)

    return asyncio.run(all_of_them())


def _fine(_: int) -> Answer:
    return Answer("Fine.", "stop", 10, 5, 0.01, 0.1)


def _raise(fault: Exception) -> Answer:
    raise fault


def test_the_ledger_comes_first_and_no_more_than_the_limit_are_under_way(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        first = Told(_fine, concurrency=3)
        assert all(isinstance(a, Answer) for a in _run(_desk(first, ledger), _asks(20)))
        assert first.most_at_once == 3
        second = Told(_fine)
        desk = _desk(second, ledger)
        _run(desk, _asks(21))
        assert len(second.calls) == 1
        assert (desk.counts.from_ledger, desk.counts.answered) == (20, 1)
        assert "1 answered, 20 known" in desk.note()


def test_what_is_handed_on_is_what_a_later_run_will_find(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        odd = Told(lambda _: Answer("half \ud800 a pair"))
        first, second = (_run(_desk(odd, ledger), _asks(1)) for _ in range(2))
        assert first == second


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(_fine)
        answers = _run(_desk(captioner, ledger), _asks(1) * 5)
        assert [a.text for a in answers if isinstance(a, Answer)] == ["Fine."] * 5
        assert len(captioner.calls) == 1


def test_waits_grow_up_to_a_bound_and_retry_after_comes_before_them(tmp_path: Path) -> None:
    clock = Clock()

    def do(call: int) -> Answer:
        return _fine(call) if call > 10 else _raise(PassingFault("no", retry_after=7 if call == 9 else None))

    with Ledger(tmp_path) as ledger:
        captioner = Told(do, retries=10)
        desk = _desk(captioner, ledger, clock)
        (answer,) = _run(desk, _asks(1))
        assert isinstance(answer, Answer)
        gaps = [b - a for a, b in zip(captioner.calls, captioner.calls[1:], strict=False)]
        assert gaps[:8] == [0.5, 1, 2, 4, 8, 16, 32, 60]
        assert gaps[8] == 7 * 1.25
        assert desk.counts.retries == 10


def test_while_a_server_wants_a_rest_nobody_asks(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: _raise(PassingFault("busy", retry_after=30.0)) if call == 1 else _fine(call),
            concurrency=1,
        )
        _run(_desk(captioner, ledger, clock), _asks(3))
        assert captioner.calls[1] - captioner.calls[0] >= 30


def test_questions_begin_no_faster_than_the_rate(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path) as ledger:
        captioner = Told(_fine, per_minute=30, concurrency=5)
        _run(_desk(captioner, ledger, clock), _asks(10))
        gaps = [b - a for a, b in zip(captioner.calls, captioner.calls[1:], strict=False)]
        assert min(gaps) >= 2.0


def test_three_in_a_row_given_up_stop_the_desk_but_not_what_the_ledger_knows(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path) as ledger:
        _run(_desk(Told(_fine), ledger), _asks(2))
        captioner = Told(lambda _: _raise(PassingFault("timed out")), retries=1, concurrency=1)
        desk = _desk(captioner, ledger, clock)
        got = _run(desk, _asks(10))
        assert [type(x).__name__ for x in got] == ["Answer"] * 2 + ["PassingFault"] * 2 + ["Stopped"] * 6
        assert len(captioner.calls) == 6
        assert "timed out" in str(got[-1])
        assert ledger.totals()["told", "describe"].errors == 3


def test_an_answer_in_between_means_it_is_not_down(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: _fine(call) if call % 3 == 0 else _raise(PassingFault("x")), retries=0, concurrency=1
        )
        desk = _desk(captioner, ledger)
        _run(desk, _asks(12))
        assert desk.stopped is None
        assert (desk.counts.answered, desk.counts.errors) == (4, 8)


def test_a_refused_question_is_not_tried_again_and_the_others_go_on(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: _raise(LastingFault("too large")) if call == 1 else _fine(call), concurrency=1
        )
        got = _run(_desk(captioner, ledger), _asks(3))
        assert isinstance(got[0], LastingFault)
        assert [isinstance(x, Answer) for x in got] == [False, True, True]
        assert len(captioner.calls) == 3


@pytest.mark.parametrize(("whole", "calls"), [(True, 1), (False, 10)])
def test_a_captioner_that_refuses_everything_is_stopped(tmp_path: Path, whole: bool, calls: int) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(lambda _: _raise(LastingFault("bad key", whole=whole)), concurrency=1)
        got = _run(_desk(captioner, ledger), _asks(15))
        assert len(captioner.calls) == calls
        assert isinstance(got[-1], Stopped)
        assert "bad key" in str(got[-1])


@pytest.mark.parametrize("cost", [0.01, None])
def test_a_budget_is_never_overshot_whatever_is_under_way(tmp_path: Path, cost: float | None) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda _: Answer("x", "stop", 10, 5, cost, 0.1),
            concurrency=8,
            budget_usd=0.095,
            usd_per_million_in=1.0,
            usd_per_million_out=100.0,
        )
        desk = _desk(captioner, ledger)
        got = _run(desk, _asks(30))
        most = most_usd(_asks(1)[0], captioner.identity.decoding, captioner.limits)
        assert 0.01 < most < 0.011
        assert 8 <= len(captioner.calls) <= 9
        assert ledger.spent_usd("told") <= 0.095
        assert isinstance(got[-1], Stopped)
        assert "budget" in str(got[-1])
        again = Told(_fine, concurrency=8, budget_usd=0.095, usd_per_million_out=100.0)
        _run(_desk(again, ledger), _asks(30))
        assert len(again.calls) <= 1


def test_a_total_budget_holds_for_all_desks_together(tmp_path: Path) -> None:
    async def both(desks: Sequence[Desk]) -> None:
        asks = [desk.ask(ask) for ask in _asks(20) for desk in desks]
        await asyncio.gather(*asks, return_exceptions=True)

    with Ledger(tmp_path) as ledger:
        captioners = [Told(_fine, name, concurrency=4, usd_per_million_out=100.0) for name in ("a", "b")]
        asyncio.run(both([_desk(c, ledger, budget_usd=0.1) for c in captioners]))
        assert ledger.spent_usd() == pytest.approx(0.1)
        assert all(captioner.calls for captioner in captioners)


def test_nothing_and_unreadable_pictures_are_no_answers_and_leave_no_claim(tmp_path: Path) -> None:
    unreadable = InputError("cut off", where="a.jpg", remedy="get it again")
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: None if call == 1 else _raise(unreadable),
            concurrency=1,
            retries=3,
        )
        desk = _desk(captioner, ledger)
        got = _run(desk, _asks(2))
        assert got[0] is None
        assert isinstance(got[1], InputError)
        assert desk.counts.nothing == 1
        assert ledger.texts().empty
        assert {ledger.claim(ask_key(ask, captioner.identity)) for ask in _asks(2)} == {"mine"}


def test_a_picture_without_a_hash_is_hashed_once(tmp_path: Path) -> None:
    reads = []

    def read() -> bytes:
        reads.append(1)
        return b"content"

    with Ledger(tmp_path) as ledger:
        desk = _desk(Told(_fine), ledger)
        picture = Picture("i", "street", "p.png", "", read)
        asks = [Ask(picture, stage=stage, prompt=Prompt("Say.")) for stage in ("describe", "local")]

        async def one_by_one() -> None:
            for ask in asks:
                await desk.ask(ask)

        asyncio.run(one_by_one())
        assert set(ledger.texts()["picture"]) == {hashlib.sha256(b"content").hexdigest()}
        assert len(reads) == 1


def test_what_a_question_may_take_at_most_grows_with_picture_prompt_and_stage() -> None:
    (ask,) = _asks(1)
    local = Ask(ask.picture, "local", ask.prompt)
    decoding = {"max_edge": 768, "max_tokens": 400, "max_tokens_local": 64}
    assert most_tokens(ask, decoding)[1] == 400
    assert most_tokens(local, decoding)[1] == 64
    assert most_tokens(ask, decoding)[0] > 750
    longer = Ask(ask.picture, prompt=Prompt("word " * 1000))
    assert most_tokens(longer, decoding)[0] - most_tokens(ask, decoding)[0] > 1000
    assert most_usd(ask, decoding, Limits()) == 0


def test_a_wish_for_no_wait_at_all_does_not_make_it_hammer(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: _raise(PassingFault("busy", retry_after=0.0)) if call < 4 else _fine(call), retries=5
        )
        _run(_desk(captioner, ledger, clock), _asks(1))
        gaps = [b - a for a, b in zip(captioner.calls, captioner.calls[1:], strict=False)]
        assert gaps == [0.5, 1, 2]


_FAULTS = [("", "stop"), ("<think>A ship?", "length"), ("<unused1>", "stop"), ("A road", "network_error")]


@pytest.mark.parametrize(("text", "finish"), _FAULTS)
def test_what_is_no_answer_is_never_kept_as_one_and_is_paid_for(
    tmp_path: Path, text: str, finish: str
) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(lambda _: Answer(text, finish, 10, 5, 0.25, 0.1), retries=1)
        (got,) = _run(_desk(captioner, ledger, Clock()), _asks(1))
        assert isinstance(got, PassingFault | LastingFault)
        assert ledger.texts().empty
        assert ledger.totals()["told", "describe"].errors == 1
        assert ledger.spent_usd("told") == pytest.approx(0.25 * len(captioner.calls))
        (answer,) = _run(_desk(Told(_fine), ledger), _asks(1))
        assert isinstance(answer, Answer)
        assert answer.text == "Fine."


def test_nothing_said_is_asked_again_at_once_and_a_limit_that_was_spent_is_not(tmp_path: Path) -> None:
    def do(call: int) -> Answer:
        return _fine(call) if call > 2 else Answer("", "stop")

    with Ledger(tmp_path) as ledger:
        (answer,) = _run(_desk(Told(do, retries=2), ledger, Clock()), _asks(1))
        assert isinstance(answer, Answer)
        spent = Told(lambda _: Answer("<think>A ship?", "length"), "spent", retries=5)
        (fault,) = _run(_desk(spent, ledger, Clock()), _asks(1))
        assert isinstance(fault, LastingFault)
        assert len(spent.calls) == 1


def test_three_pictures_of_which_nothing_is_said_do_not_stop_a_captioner(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        captioner = Told(
            lambda call: _fine(call) if call > 9 else Answer("", "stop"), retries=0, concurrency=1
        )
        desk = _desk(captioner, ledger)
        got = _run(desk, _asks(12))
        assert [isinstance(one, Answer) for one in got] == [False] * 9 + [True] * 3
        assert desk.stopped is None
        silent = _desk(Told(lambda _: Answer("", "stop"), "silent", retries=0, concurrency=1), ledger)
        _run(silent, _asks(12))
        assert str(silent.stopped).startswith("10 questions in a row got no answer")
        assert silent.counts.errors == 10


@pytest.mark.parametrize(("text", "finish"), _FAULTS)
def test_what_was_once_recorded_as_an_answer_and_is_none_is_set_aside(
    tmp_path: Path, text: str, finish: str
) -> None:
    (ask,) = _asks(1)
    captioner = Told(_fine)
    key = ask_key(ask, captioner.identity)
    with Ledger(tmp_path) as ledger:
        ledger.record(key, ask, captioner.identity, Answer(text, finish, 10, 5, 0.01, 0.1))
        (answer,) = _run(_desk(captioner, ledger), [ask])
        assert isinstance(answer, Answer)
        assert answer.text == "Fine."
        assert list(ledger.texts()["text"]) == ["Fine."]
        assert ledger.totals()["told", "describe"].errors == 1
        _run(_desk(captioner, ledger), [ask])
        assert len(captioner.calls) == 1
        ledger.export_parquet(tmp_path / "ledger.parquet")
    kept = pd.read_parquet(tmp_path / "ledger.parquet")
    assert text in kept.loc[kept["part"] == "error", "text"].iloc[0]


def test_a_text_is_kept_as_it_came_and_handed_on_without_its_thoughts(tmp_path: Path) -> None:
    raw = "<think>A ship?</think>A road.<|im_end|>"
    with Ledger(tmp_path) as ledger:
        captioner = Told(lambda _: Answer(raw, "eos"))
        first, again = (_run(_desk(captioner, ledger), _asks(1))[0] for _ in range(2))
        assert isinstance(first, Answer)
        assert (first.text, first.finish) == ("A road.", "stop")
        assert again == first
        assert list(ledger.texts()["text"]) == [raw]


def test_setting_aside_leaves_an_answer_that_came_meanwhile(tmp_path: Path) -> None:
    (ask,) = _asks(1)
    identity = Told(_fine).identity
    key = ask_key(ask, identity)
    with Ledger(tmp_path) as ledger:
        ledger.record(key, ask, identity, Answer("Fine."))
        ledger.set_aside(key, "", "the answer is empty")
        found = ledger.find(key)
        assert found is not None
        assert found.text == "Fine."


def test_a_long_rest_is_announced_once_and_a_longer_one_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(wait: float) -> Callable[[int], Answer]:
        fault = PassingFault("the server answered 429", retry_after=wait, where="host:1")
        return lambda call: _fine(call) if call > 12 else _raise(fault)

    with Ledger(tmp_path) as ledger:
        _run(_desk(Told(busy(90.0), retries=20), ledger, Clock()), _asks(4))
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("told asks for a rest of 90 s")
        assert "host:1" in line
        _run(_desk(Told(busy(2.0), "short", retries=20), ledger, Clock()), _asks(4))
        assert capsys.readouterr().err == ""
        clock, far = Clock(), Told(busy(MOST_PATIENCE_S + 1), "far", retries=20, concurrency=1)
        desk = _desk(far, ledger, clock)
        _run(desk, _asks(4))
        assert len(far.calls) == 3
        assert max(clock.slept, default=0.0) < 1
        assert "asks for a rest of 601 s" in str(desk.stopped)


def test_why_a_captioner_stopped_is_one_line_with_place_words_and_remedy(tmp_path: Path) -> None:
    fault = LastingFault(
        "the server answered 401", whole=True, value="Bad\nkey", where="host:1", remedy="set it"
    )
    with Ledger(tmp_path) as ledger:
        desk = _desk(Told(lambda _: _raise(fault)), ledger)
        _run(desk, _asks(1))
    said = "host:1: the server answered 401, in its words: Bad\\nkey; set it"
    assert desk.stopped == f"it refuses every question: {said}"
