"""What captioning will take, said before anything is sent: calls, tokens, cost and time of each stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from urbanln.captions.asking.ledger import Ledger, Total, ask_key
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.answers import judge
from urbanln.captions.captioners.base import Box, Captioner, Limits, Picture, Stage
from urbanln.captions.cleaning.text_faults import describes
from urbanln.captions.refine.flow import describe_ask, local_ask
from urbanln.captions.settings import RefineSettings

ENOUGH = 20
"""With so many answers in the ledger, their means are used instead of assumptions."""

BoxesOf = Callable[[Picture], Sequence[Box] | None]
"""The parts of a picture to be described, or None while nobody has looked for them."""

# Tokens read, tokens written, seconds: assumptions, used and named until the ledger has enough answers. A
# picture of 768 pixels is some 750 tokens to most models, a prompt about 200; the times are those of a
# mid-sized model on one accelerator.
_ASSUMED: dict[Stage, tuple[int, int, float]] = {
    "describe": (950, 200, 5.0),
    "local": (500, 30, 1.5),
    "merge": (1400, 220, 5.5),
    "repair": (1300, 220, 5.5),
}
_PARTS = 5.0
_REPAIRS = 0.3


@dataclass(frozen=True)
class Step:
    """The calls of one captioner at one stage.

    Attributes:
        captioner: Its name.
        stage: Of the questions.
        known: Answers that are in the ledger already.
        calls: Questions still to be asked.
        tokens_in: Tokens these will read.
        tokens_out: Tokens their answers will have.
        cost_usd: Price of these.
        seconds: Time they take, as many at once as the captioner's limits allow.
        measured: Tokens and time are means of the ledger's answers, not assumptions.
        exact: The number of calls is counted, not estimated.
    """

    captioner: str
    stage: Stage
    known: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    seconds: float
    measured: bool
    exact: bool


@dataclass(frozen=True)
class Plan:
    """All steps, and what holds for the whole.

    Attributes:
        pictures: Number of pictures.
        steps: By captioner, in order of the stages.
        remarks: What the numbers rest on, and what leaves this machine.
    """

    pictures: int
    steps: Sequence[Step]
    remarks: Sequence[str] = field(default_factory=tuple)

    @property
    def calls(self) -> int:
        """Questions still to be asked, all captioners together."""
        return sum(step.calls for step in self.steps)

    @property
    def cost_usd(self) -> float:
        """Price of all these."""
        return sum(step.cost_usd for step in self.steps)

    @property
    def seconds(self) -> float:
        """Time until the slowest captioner is done: they work side by side."""
        by_captioner: dict[str, float] = {}
        for step in self.steps:
            by_captioner[step.captioner] = by_captioner.get(step.captioner, 0.0) + step.seconds
        return max(by_captioner.values(), default=0.0)

    def lines(self) -> list[str]:
        """The plan as lines to print."""
        head = ("captioner", "stage", "known", "calls", "tokens in", "tokens out", "cost", "time")
        known = sum(step.known for step in self.steps)
        end = ("all", "", f"{known:,}", f"{self.calls:,}", "", "", *_dear(self.cost_usd, self.seconds))
        rows = [head, *(_row(step) for step in self.steps), end]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        table = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return [f"{self.pictures:,} pictures; nothing has been sent", *table, *self.remarks]


def _row(step: Step) -> tuple[str, ...]:
    counts = (f"{step.known:,}", f"{'' if step.exact else '~'}{step.calls:,}")
    tokens = (f"~{step.tokens_in:,}", f"~{step.tokens_out:,}")
    return (step.captioner, step.stage, *counts, *tokens, *_dear(step.cost_usd, step.seconds))


def _dear(cost_usd: float, seconds: float) -> tuple[str, str]:
    return f"~${cost_usd:,.2f}", f"~{duration(seconds)}"


def make_plan(
    captioners: Sequence[Captioner],
    pictures: Sequence[Picture],
    ledger: Ledger,
    *,
    prompts: Prompts,
    refine: RefineSettings | None = None,
    boxes_of: BoxesOf | None = None,
    budget_usd: float | None = None,
) -> Plan:
    """Count what is to be asked and estimate what it takes; nothing is sent and no picture is read.

    Args:
        captioners: Who will be asked.
        pictures: About which pictures; those left out by a limit are not among them.
        ledger: Answers in it are not asked for again, and their means make the estimate.
        prompts: Of this run; another prompt is another question.
        refine: Settings of the refinement; None or not enabled: descriptions only.
        boxes_of: Parts of a picture where they are known; without it five parts are assumed.
        budget_usd: What all answers in the ledger may cost: whether it will do is a remark.
    """
    refine = refine if refine is not None and refine.enabled else None
    totals, steps, remarks = ledger.totals(), [], []
    for captioner in captioners:
        counted = _counts(captioner, pictures, ledger, prompts, refine, boxes_of)
        for stage, (wanted, known, exact) in counted.items():
            total = totals.get((captioner.identity.name, stage), Total())
            steps.append(_step(captioner, stage, max(wanted - known, 0), known, total, exact))
        if captioner.remote is not None:
            remarks.append(f"{captioner.identity.name}: pictures leave this network for {captioner.remote}")
            if not captioner.limits.priced:
                remarks.append(f"{captioner.identity.name}: no price is set, so its cost is not known")
    if any(not step.measured and step.calls for step in steps):
        remarks.append(f"tokens and times are assumed where the ledger has fewer than {ENOUGH} answers")
    if refine is not None and any(not step.exact for step in steps):
        guess = min(_PARTS, refine.max_crops)
        remarks.append(f"parts are counted where they are known, else {guess:.0f} per picture are assumed")
    unhashed = sum(not picture.sha256 for picture in pictures)
    if unhashed:
        remarks.append(f"{unhashed} pictures have no hash yet: all about them counts as still to be asked")
    remarks += _budgets(captioners, steps, ledger, budget_usd)
    return Plan(len(pictures), steps, remarks)


def _budgets(
    captioners: Sequence[Captioner], steps: Sequence[Step], ledger: Ledger, total_usd: float | None
) -> list[str]:
    """What is left of each budget, and whether it will do."""
    limits: list[tuple[str | None, float | None]] = [(None, total_usd)]
    limits += [(captioner.identity.name, captioner.limits.budget_usd) for captioner in captioners]
    said = []
    for name, budget in limits:
        if budget is None:
            continue
        left = max(budget - ledger.spent_usd(name), 0.0)
        cost = sum(step.cost_usd for step in steps if name in (None, step.captioner))
        enough = "enough" if cost <= left else "NOT enough"
        said.append(f"{name or 'all'}: ${left:,.2f} of ${budget:,.2f} may still be spent, {enough} for this")
    return said


def _counts(
    captioner: Captioner,
    pictures: Sequence[Picture],
    ledger: Ledger,
    prompts: Prompts,
    refine: RefineSettings | None,
    boxes_of: BoxesOf | None,
) -> dict[Stage, tuple[int, int, bool]]:
    """Stage → questions in all, those of them in the ledger, whether both are exact."""
    keys = {
        ask_key(describe_ask(picture, captioner, prompts), captioner.identity): picture.sha256
        for picture in pictures
        if picture.sha256
    }
    wanted = len(keys) + sum(not picture.sha256 for picture in pictures)
    known = {key: judge(answer.text, answer.finish) for key, answer in ledger.find_many([*keys]).items()}
    described = {key: said for key, said in known.items() if said.answered}
    counts: dict[Stage, tuple[int, int, bool]] = {"describe": (wanted, len(described), True)}
    if refine is None or not captioner.prompted:
        return counts
    refused = {keys[key] for key, said in described.items() if not describes(said.text, said.finish)}
    # Equal pictures are one question.
    distinct = list({(p.sha256 or p.path, p.view): p for p in pictures if p.sha256 not in refused}.values())
    boxes = [boxes_of(one) if boxes_of is not None and one.sha256 else None for one in distinct]
    parts = {
        ask_key(local_ask(picture, box, refine, prompts), captioner.identity)
        for picture, found in zip(distinct, boxes, strict=True)
        for box in found or ()
    }
    n_parts = len(parts) + round(min(_PARTS, refine.max_crops) * boxes.count(None))
    counts["local"] = (n_parts, len(ledger.find_many([*parts])), None not in boxes)
    asked = [keys[key] for key in described]
    return counts | _later(asked, distinct, boxes, captioner, ledger, prompts, refine.grounder != "none")


def _later(
    described: Sequence[str],
    pictures: Sequence[Picture],
    boxes: Sequence[Sequence[Box] | None],
    captioner: Captioner,
    ledger: Ledger,
    prompts: Prompts,
    grounded: bool,
) -> dict[Stage, tuple[int, int, bool]]:
    """Merges and repairs: their prompts depend on answers, so the known ones go by their template."""
    blank = {"description": "", "notes": "", "rejected": ""}
    views = sorted({picture.view for picture in pictures})
    known = {}
    stages: tuple[Stage, ...] = ("merge", "repair")
    for stage in stages:
        templates = [prompts.render(stage, view, **blank).template for view in views]
        known[stage] = ledger.count(captioner.identity, stage, described, templates)
    merges = max(sum(found is None or len(found) > 0 for found in boxes), known["merge"])
    # Nothing is repaired that nobody has checked.
    repairs = known["repair"] + round(_REPAIRS * grounded * (merges - known["merge"]))
    return {"merge": (merges, known["merge"], False), "repair": (repairs, known["repair"], False)}


def _step(captioner: Captioner, stage: Stage, calls: int, known: int, total: Total, exact: bool) -> Step:
    limits, n = captioner.limits, total.answers
    measured = n >= ENOUGH
    tokens_in, tokens_out, seconds = _ASSUMED[stage] if captioner.prompted else (0, 0, 0.1)
    if measured:
        seconds = total.seconds / n
        if total.tokens_out:  # not every server counts
            tokens_in, tokens_out = round(total.tokens_in / n), round(total.tokens_out / n)
    return Step(
        captioner=captioner.identity.name,
        stage=stage,
        known=known,
        calls=calls,
        tokens_in=calls * tokens_in,
        tokens_out=calls * tokens_out,
        cost_usd=calls * (limits.cost(tokens_in, tokens_out) or 0.0),
        seconds=_time(calls, seconds, limits),
        measured=measured,
        exact=exact,
    )


def _time(calls: int, seconds: float, limits: Limits) -> float:
    by_rate = 60.0 * calls / limits.per_minute if limits.per_minute > 0 else 0.0
    # A few questions take as long as one.
    return max(calls * seconds / limits.concurrency, seconds if calls else 0.0, by_rate)


def duration(seconds: float) -> str:
    """Seconds in the largest unit that tells enough.

    Example:
        >>> duration(42), duration(600), duration(7500)
        ('42 s', '10 min', '2.1 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
