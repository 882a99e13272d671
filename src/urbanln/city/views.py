"""Which pictures are meant where nobody said: a run's view, else the only one a city has, else satellite."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from urbanln.base.config import AutoView, Settings, View
from urbanln.base.parsing import read_run
from urbanln.base.saying import say


def the_view(wanted: AutoView, views: Iterable[str], *, model: object = None, where: str = "") -> View:
    """The view that is meant.

    Args:
        wanted: A view, which is taken as it is, or ``"auto"``: the one a run was trained on; else the only
            one there is; satellite where there are both, since the paper trains them apart.
        views: Of the pictures there are.
        model: What makes vectors of them: a run folder has a view of its own.
        where: Whose they are, for the line on stderr that says so where the streets are taken.
    """
    if wanted != "auto":
        return wanted
    if isinstance(model, str | Path) and (file := Path(model) / "run.toml").is_file():
        trained: View = read_run(file, "train", "view", shape=View)
        return trained
    there = set(views)
    if there == {"street"}:
        if where:
            say(f"{where}: street views are taken, the only pictures there are")
        return "street"
    return "satellite"


def settle_views(settings: Settings, views: Iterable[str], *, where: str = "") -> Settings:
    """Settings whose views are named: of ``train`` as :func:`the_view` says, of ``embed`` as of ``train``."""
    train = the_view(settings.train.view, views, where=where)
    embed = train if settings.embed.view == "auto" else settings.embed.view
    return settings.model_copy(
        update={
            "train": settings.train.model_copy(update={"view": train}),
            "embed": settings.embed.model_copy(update={"view": embed}),
        }
    )
