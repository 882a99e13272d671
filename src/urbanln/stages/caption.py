"""What the verb ``caption`` of the command line does, one function per way of calling it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.base.files import write_table
from urbanln.captions.account import table_lines
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.captioners.base import Captioner
from urbanln.captions.captioners.recorded import read_rows
from urbanln.captions.choice import choose_captioners
from urbanln.captions.cleaning.clean import clean_captions
from urbanln.captions.run import caption_city, choose, ledger_path, load_language, plan_city
from urbanln.captions.settings import CaptionSettings
from urbanln.city.store import City
from urbanln.stages import bridges

MAX_TOKENS = 248  # text positions after stretching


@dataclass(frozen=True)
class Request:
    """What ``urbanln caption CITY`` was asked to do.

    Attributes:
        city: The city folder.
        captioners: Words for captioners; none: all in the settings.
        settings: Resolved.
        model: Whose tokenizer counts tokens, and which CLIP grounds phrases.
        limit: Only the first so many pictures.
        budget_usd: What all answers in the ledger may cost.
        replace: Leave out the captions that are in the table.
    """

    city: Path
    captioners: tuple[str, ...]
    settings: CaptionSettings
    model: str
    limit: int | None
    budget_usd: float | None
    replace: bool

    def choose(self) -> list[Captioner]:
        """The captioners that are meant."""
        specs = self.captioners or (("all",) if self.settings.captioners else ())
        return [one for spec in specs for one in choose_captioners(spec, self.settings)]


def caption(request: Request) -> None:
    """Caption a city and print what came of it.

    Raises:
        CaptionsIncomplete: A captioner was stopped on the way; the table holds what there is.
    """
    refine = request.settings.refine
    grounder = None
    if refine.enabled and refine.grounder == "clip":
        grounder = bridges.clip_grounder(refine.grounder_model)
    report = caption_city(
        City.open(request.city),
        request.choose(),
        settings=request.settings,
        count_tokens=bridges.token_counter(request.model),
        max_tokens=MAX_TOKENS,
        grounder=grounder,
        limit=request.limit,
        budget_usd=request.budget_usd,
        replace=request.replace,
    )
    print("\n".join(report.lines()))
    if not report.complete:
        name, (reason, left) = next(iter(report.asked.stopped.items()))
        raise CaptionsIncomplete(
            f"{name} was stopped with {left} pictures left; the table holds what there is",
            value=reason,
            where=request.city,
            remedy="when that is put right, run the same command again: nothing is asked twice",
        )


class CaptionsIncomplete(UrbanLNError):
    """Some captions were not had; those that were are kept."""


def print_plan(request: Request) -> None:
    """Print what captioning would take; nothing is sent."""
    city = City.open(request.city)
    plan = plan_city(
        city, request.choose(), request.settings, limit=request.limit, budget_usd=request.budget_usd
    )
    print("\n".join(plan.lines()))


def vote_file(table: Path, out: Path | None, settings: CaptionSettings, model: str) -> None:
    """Vote on a table of captions without a city and write the outcome as Parquet."""
    rows = read_rows(table)
    count = bridges.token_counter(model)
    cleaned = clean_captions(rows, settings.clean, count_tokens=count, max_tokens=MAX_TOKENS)
    if cleaned.frame.empty:
        raise InputError(
            "no caption is left after cleaning", where=table, remedy="see urbanln audit --captions"
        )
    language = load_language(settings, several=True)
    voted = choose(cleaned.frame, settings, language, count, MAX_TOKENS)
    target = out or table.with_name(f"{table.stem}-voted.parquet")
    write_table(target, voted, kind="captions")
    n_voted = int((voted["selected"] & voted["agreement"].notna()).sum())
    print("\n".join([*cleaned.lines(), *table_lines(voted, n_voted)]))
    print(target)


def show(folder: Path, image_id: str, out: Path | None) -> None:
    """Write the page on one picture's texts."""
    from urbanln.captions.captioners.base import pictures_of
    from urbanln.captions.show import show_picture

    city = City.open(folder)
    picture = next((one for one in pictures_of(city) if one.image_id == image_id), None)
    if picture is None:
        some = ", ".join(city.images["image_id"].head(3))
        raise InputError("no such picture", value=image_id, where=folder, remedy=f"for example {some}")
    with _open_ledger(folder) as ledger:
        print(
            show_picture(
                ledger, picture, out=out or Path(f"{_file_name(image_id)}.html"), captions=city.captions
            )
        )


def move_ledger(folder: Path, export: Path | None, source: Path | None) -> None:
    """Take in another host's ledger, or write this one as Parquet."""
    City.open(folder, check_files=False)
    if source is not None:
        with Ledger(ledger_path(folder)) as ledger:
            added = ledger.import_parquet(source)
        print(f"taken in from {source}: {', '.join(f'{n} {part}' for part, n in added.items())}")
    if export is not None:
        with _open_ledger(folder) as ledger:
            ledger.export_parquet(export)
        print(export)


def _open_ledger(folder: Path) -> Ledger:
    path = ledger_path(folder)
    if not path.exists():
        raise InputError("this city has no ledger yet", where=path, remedy="run urbanln caption first")
    return Ledger(path)


def _file_name(image_id: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in image_id)
