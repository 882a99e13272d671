"""The plan: what it counts, and that it is what is asked then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.captions.asking.test_desk import Told

from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.plan import ENOUGH, duration, make_plan
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Ask, Box, Picture
from urbanln.captions.refine.flow import local_ask
from urbanln.captions.settings import RefineSettings

PROMPTS = Prompts()
BOXES = [(0.0, 0.0, 0.2 * n, 1.0) for n in range(1, 5)]


def _unread() -> bytes:
    raise AssertionError("a plan reads no picture")


def _pictures(count: int) -> list[Picture]:
    views = ("satellite", "street")
    return [Picture(f"i{n}", views[n % 2], f"{n}.png", f"{n:064x}", _unread) for n in range(count)]


def _told(name: str = "a", **limits: float) -> Told:
    return Told(lambda _: None, name, **limits)


def _record(
    ledger: Ledger, captioner: Told, pictures: list[Picture], stage: str = "describe", text: str = "x"
) -> None:
    for picture in pictures:
        ask = Ask(picture, prompt=PROMPTS.render("describe", picture.view))
        if stage == "local":
            ask = local_ask(picture, BOXES[0], RefineSettings(), PROMPTS)
        if stage == "merge":
            prompt = PROMPTS.render("merge", picture.view, description="d", notes="n", rejected="r")
            ask = Ask(picture, "merge", prompt)
        answer = Answer(text, "stop", 2000, 100, 0.5, 3.0)
        ledger.record(ask_key(ask, captioner.identity), ask, captioner.identity, answer)


def test_what_is_in_the_ledger_is_not_counted_again(tmp_path: Path) -> None:
    pictures = _pictures(10)
    pictures.append(replace(pictures[0], image_id="copy"))  # an equal picture is one question
    pictures.append(replace(pictures[1], image_id="far", path="https://x/y.png", sha256=""))
    with Ledger(tmp_path) as ledger:
        one, two = _told("a"), _told("b")
        two.remote = "https://api.example.com/v1"
        _record(ledger, one, pictures[:4])
        plan = make_plan([one, two], pictures, ledger, prompts=PROMPTS)
    assert [(s.captioner, s.stage, s.known, s.calls, s.exact) for s in plan.steps] == [
        ("a", "describe", 4, 7, True),
        ("b", "describe", 0, 11, True),
    ]
    assert (plan.calls, plan.pictures) == (18, 12)
    text = "\n".join(plan.lines())
    assert "nothing has been sent" in text
    assert "b: pictures leave this network for https://api.example.com/v1" in text
    assert "1 pictures have no hash" in text
    assert "assumed" in text


def test_another_prompt_is_another_question(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "describe-street.txt").write_text("Describe it.")
    with Ledger(tmp_path) as ledger:
        captioner, pictures = _told(), _pictures(4)
        _record(ledger, captioner, pictures)
        assert make_plan([captioner], pictures, ledger, prompts=PROMPTS).calls == 0
        assert make_plan([captioner], pictures, ledger, prompts=Prompts(tmp_path / "prompts")).calls == 2


def test_the_means_of_enough_answers_replace_assumptions(tmp_path: Path) -> None:
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 10.0, "concurrency": 3}
    with Ledger(tmp_path) as ledger:
        captioner, pictures = _told(**prices), _pictures(ENOUGH + 10)
        _record(ledger, captioner, pictures[: ENOUGH - 1])
        (step,) = make_plan([captioner], pictures, ledger, prompts=PROMPTS).steps
        assert not step.measured
        _record(ledger, captioner, pictures[:ENOUGH])
        plan = make_plan([captioner], pictures, ledger, prompts=PROMPTS)
        (step,) = plan.steps
    assert step.measured
    assert (step.calls, step.tokens_in, step.tokens_out) == (10, 20_000, 1000)
    assert step.cost_usd == pytest.approx(0.03)
    assert step.seconds == pytest.approx(10 * 3.0 / 3)
    assert not any("assumed" in line for line in plan.lines())


def test_rates_bound_the_time_and_captioners_work_side_by_side(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        slow, fast = _told("slow", per_minute=2.0), _told("fast", concurrency=100)
        plan = make_plan([slow, fast], _pictures(10), ledger, prompts=PROMPTS)
    assert plan.seconds == pytest.approx(300)
    assert "5 min" in plan.lines()[-2]


def test_parts_are_counted_where_known_and_assumed_elsewhere(tmp_path: Path) -> None:
    refine = RefineSettings(enabled=True, max_crops=3, grounder="owlv2")
    with Ledger(tmp_path) as ledger:
        captioner, pictures = _told(), _pictures(10)
        _record(ledger, captioner, pictures[:2], stage="local")
        known: dict[str, list[Box]] = {"i0": BOXES, "i1": []}
        plan = make_plan(
            [captioner], pictures, ledger, prompts=PROMPTS, refine=refine,
            boxes_of=lambda picture: known.get(picture.image_id),
        )  # fmt: skip
        sure = make_plan(
            [captioner], pictures, ledger, prompts=PROMPTS, refine=refine, boxes_of=lambda _: BOXES[:2]
        )
        plain = _told("plain")
        plain.prompted = False
        unrefined = make_plan([plain], pictures, ledger, prompts=PROMPTS, refine=refine)
    steps = {step.stage: step for step in plan.steps}
    assert list(steps) == ["describe", "local", "merge", "repair"]
    assert (steps["local"].known, steps["local"].calls) == (1, 4 + 0 + 8 * 3 - 1)
    assert (steps["merge"].calls, steps["repair"].calls) == (9, 3)
    assert not steps["local"].exact
    assert any("3 per picture are assumed" in line for line in plan.lines())
    local = next(step for step in sure.steps if step.stage == "local")
    assert (local.known + local.calls, local.exact) == (20, True)
    assert [step.stage for step in unrefined.steps] == ["describe"]


def test_durations_are_readable() -> None:
    assert [duration(s) for s in (0, 89, 90, 5399, 5400, 86400)] == [
        "0 s", "89 s", "2 min", "90 min", "1.5 h", "24.0 h",
    ]  # fmt: skip


def test_what_was_said_to_other_prompts_about_parts_is_still_to_be_asked(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "local-street.txt").write_text("Name it.")
    (folder / "merge-street.txt").write_text("{description} {notes} {rejected}")
    captioner, pictures = _told(), _pictures(4)
    with Ledger(tmp_path) as ledger:
        for stage in ("describe", "local", "merge"):
            _record(ledger, captioner, pictures, stage)

        def left(prompts: Prompts, **changes: int | str) -> dict[str, int]:
            refine = RefineSettings.model_validate({"enabled": True, "grounder": "owlv2", **changes})
            plan = make_plan(
                [captioner], pictures, ledger, prompts=prompts, refine=refine, boxes_of=lambda _: BOXES[:1]
            )
            return {step.stage: step.calls for step in plan.steps}

        assert left(PROMPTS) == {"describe": 0, "local": 0, "merge": 0, "repair": 0}
        assert left(Prompts(folder)) == {"describe": 0, "local": 2, "merge": 2, "repair": 1}
        assert left(PROMPTS, min_side=50)["local"] == 4
        assert left(PROMPTS, min_side=50, grounder="none")["repair"] == 0
        pictures.append(replace(pictures[0], image_id="copy"))
        assert left(PROMPTS, min_side=50)["local"] == 4
        pictures.append(replace(pictures[0], image_id="refused", sha256="f" * 64))
        assert left(PROMPTS)["local"] == 1
        _record(ledger, captioner, pictures[-1:], text="I'm sorry, but I can't help with that.")
        assert left(PROMPTS) == {"describe": 0, "local": 0, "merge": 0, "repair": 0}


def test_budgets_and_missing_prices_are_remarked_on(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        dear = _told("dear", usd_per_million_out=1100.0, budget_usd=1.0)
        unknown = _told("unknown")
        unknown.remote = "https://api.example.com/v1"
        _record(ledger, dear, _pictures(1))
        plan = make_plan([dear, unknown], _pictures(4), ledger, prompts=PROMPTS, budget_usd=1.2)
        few = make_plan([dear], _pictures(2), ledger, prompts=PROMPTS, budget_usd=1.2)
    text = "\n".join(plan.lines())
    assert "all: $0.70 of $1.20 may still be spent, enough" in text
    assert "dear: $0.50 of $1.00 may still be spent, NOT enough" in text
    assert "unknown: no price is set, so its cost is not known" in text
    assert few.seconds == pytest.approx(5.0)  # one question, however many could be asked at once
