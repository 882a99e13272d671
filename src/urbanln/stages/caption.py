"""What the verb ``caption`` of the command line does, one function per way of calling it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from urbanln.base.errors import InputError
from urbanln.base.files import write_table
from urbanln.base.outputs import PAGE, FileKind, of_kind, output_file, with_first_line
from urbanln.base.saying import answer
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_parquet import EXPORT
from urbanln.captions.asking.ledger_place import has_ledger, ledger_place
from urbanln.captions.captioners.base import Captioner, pictures_of
from urbanln.captions.captioners.named import choose_captioners
from urbanln.captions.captioners.recorded import read_named
from urbanln.captions.cleaning.clean import clean_captions
from urbanln.captions.report import table_lines
from urbanln.captions.run import (
    NotDescribed,
    caption_city,
    choose,
    load_language,
    plan_city,
)
from urbanln.captions.settings import CaptionSettings
from urbanln.captions.show import show_picture
from urbanln.captions.table import on_disk
from urbanln.city.checks import CAPTION_COLUMNS
from urbanln.city.store import City
from urbanln.stages import bridges
from urbanln.tables.flat import write_csv

CAPTIONS = FileKind(
    "a table of captions",
    {
        ".parquet": of_kind("captions"),
        ".csv": with_first_line(lambda line: line == ",".join(CAPTION_COLUMNS)),
    },
)


def caption(
    folder: Path,
    specs: Sequence[str],
    settings: CaptionSettings,
    model: str,
    *,
    limit: int | None,
    budget_usd: float | None,
    replace: bool,
) -> None:
    """Caption a city and print what came of it.

    Args:
        folder: The city folder.
        specs: Words for captioners; none: all in the settings.
        settings: Resolved.
        model: Whose tokenizer counts tokens.
        limit: Only the first so many pictures.
        budget_usd: What all answers in the ledger may cost.
        replace: Leave out the captions that are in the table.

    Raises:
        CaptionsIncomplete: A captioner was stopped on the way; the table holds what there is.
    """
    refine = settings.refine
    grounder = None
    if refine.enabled and refine.grounder == "clip":
        grounder = bridges.clip_grounder(refine.grounder_model)
    report = caption_city(
        City.open(folder),
        _captioners(specs, settings),
        settings=settings,
        count_tokens=bridges.token_counter(model),
        max_tokens=bridges.text_positions(model),
        grounder=grounder,
        limit=limit,
        budget_usd=budget_usd,
        replace=replace,
    )
    answer(*report.lines())
    if not report.complete:
        # One line each, so that a log's last one tells all of it.
        lines = [report.asked.stop_line(name) for name in report.asked.stopped]
        then = "the table holds what there is; when that is put right, run the same command again"
        raise CaptionsIncomplete(
            "\n".join([*lines[:-1], f"{lines[-1]}; {then}"]),
            where=folder,
            remedy="put right what is said above, and run the same command again",
        )


class CaptionsIncomplete(NotDescribed):
    """Some captions were not had; those that were are kept."""


def print_plan(
    folder: Path,
    specs: Sequence[str],
    settings: CaptionSettings,
    *,
    limit: int | None,
    budget_usd: float | None,
) -> None:
    """Print what captioning would take, arguments as for :func:`caption`; nothing is sent."""
    city = City.open(folder)
    plan = plan_city(city, _captioners(specs, settings), settings, limit=limit, budget_usd=budget_usd)
    answer(*plan.lines())


def _captioners(specs: Sequence[str], settings: CaptionSettings) -> list[Captioner]:
    specs = specs or (["all"] if settings.captioners else [])
    return [one for spec in specs for one in choose_captioners(spec, settings)]


def vote_file(table: Path, out: Path | None, settings: CaptionSettings, model: str) -> None:
    """Vote on a table of captions without a city and write the outcome, as Parquet or CSV."""
    target = out or table.with_name(f"{table.stem}-voted.parquet")
    output_file(target, CAPTIONS, inputs=[table])
    rows, note = read_named(table)
    count = bridges.token_counter(model)
    positions = bridges.text_positions(model)
    cleaned = clean_captions(rows, settings.clean, count_tokens=count, max_tokens=positions)
    if cleaned.frame.empty:
        raise InputError(
            "no caption is left after cleaning", where=table, remedy="see urbanln audit --captions"
        )
    cleaned = replace(cleaned, frame=on_disk(cleaned.frame))
    language = load_language(settings, several=True)
    voted = choose(cleaned.frame, settings, language, count, positions)
    if target.suffix.lower() == ".csv":
        write_csv(target, voted)
    else:
        write_table(target, voted, kind="captions")
    answer(note, *cleaned.lines(), *table_lines(voted, positions), str(target))


def show(folder: Path, image_id: str, out: Path | None, url: str) -> None:
    """Write the page on one picture's texts."""
    city = City.open(folder)
    picture = next((one for one in pictures_of(city) if one.image_id == image_id), None)
    if picture is None:
        some = ", ".join(city.images["image_id"].head(3))
        raise InputError("no such picture", value=image_id, where=folder, remedy=f"for example {some}")
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in image_id)
    page = output_file(out or Path(f"{name}.html"), PAGE)
    with _open_ledger(folder, url) as ledger:
        answer(str(show_picture(ledger, picture, out=page, captions=city.captions)))


def move_ledger(folder: Path, export: Path | None, source: Path | None, url: str) -> None:
    """Take in an export of another ledger, or write this one as Parquet; ``url`` as in the settings."""
    City.open(folder, check_files=False)
    if export is not None:
        output_file(export, EXPORT, inputs=[source] if source else [], option="--export-ledger")
    if source is not None:
        with Ledger(ledger_place(folder, url)) as ledger:
            added = ledger.import_parquet(source)
        answer(f"taken in from {source}: {', '.join(f'{n} {part}' for part, n in added.items())}")
    if export is not None:
        with _open_ledger(folder, url) as ledger:
            ledger.export_parquet(export)
        answer(str(export))


def _open_ledger(folder: Path, url: str) -> Ledger:
    place = ledger_place(folder, url)
    if not has_ledger(folder, url):
        raise InputError("this city has no ledger yet", where=place, remedy="run urbanln caption first")
    return Ledger(place, read_only=True)
