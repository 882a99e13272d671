"""From a word on the command line to captioners."""

from __future__ import annotations

import re
from pathlib import Path

from urbanln.base.errors import InputError, require
from urbanln.captions.captioners.base import Captioner
from urbanln.captions.captioners.measured import MeasuredCaptioner
from urbanln.captions.captioners.openai_server import ServerCaptioner, parse_server_spec
from urbanln.captions.captioners.recorded import read_recorded
from urbanln.captions.settings import CaptionerSettings, CaptionSettings, SimulationSettings
from urbanln.captions.simulation.scene_captioner import SceneCaptioner, simulated_as


def choose_captioners(spec: str, settings: CaptionSettings | None = None) -> list[Captioner]:
    """The captioners a word on the command line stands for.

    Args:
        spec: The name of a captioner in ``settings``, or ``"all"`` of them; ``"openai:MODEL@URL"``, any
            OpenAI-compatible server; ``"transformers:MODEL"``, a hub name or a folder; ``"measured"``;
            ``"recorded:TABLE"`` (every captioner named in the table); ``"simulated"`` (all the simulated
            ones, as the settings want them) or the name of one of them.
        settings: Where named captioners are looked up.

    Raises:
        InputError: There is no such captioner, or its table cannot be used.
        MissingExtraError: It needs a package that is not installed.
    """
    named = settings.captioners if settings else {}
    kind, _, rest = spec.partition(":")
    wanted = simulated_as(settings.simulation if settings else SimulationSettings())
    simulated: dict[str, Captioner] = {one.name: SceneCaptioner(one) for one in wanted}
    if spec == "all" and named:
        return [_with_model(name, one) for name, one in named.items()]
    if spec in named:
        return [_with_model(spec, named[spec])]
    if spec == "measured":
        return [MeasuredCaptioner()]
    if spec == "simulated":
        return list(simulated.values())
    if spec in simulated:
        return [simulated[spec]]
    if kind == "recorded" and rest:
        return list(read_recorded(Path(rest)))
    if kind == "openai" and rest:
        return [_with_model(*parse_server_spec(spec))]
    if kind == "transformers" and rest:
        name = re.sub(r"[^\w.+-]+", "-", rest.rstrip("/").rpartition("/")[2]).strip("-") or "local"
        return [_with_model(name, CaptionerSettings(kind="transformers", model=rest, concurrency=1))]
    known = f"; named in the settings: {', '.join(named)}" if named else ""
    raise InputError(
        "there is no such captioner",
        value=spec,
        remedy="use openai:MODEL@URL, transformers:MODEL, measured, recorded:TABLE, or for a synthetic city "
        f"simulated or one of {', '.join(simulated)}{known}",
        where="--captioner",
    )


def _with_model(name: str, settings: CaptionerSettings) -> Captioner:
    if settings.kind == "openai":
        return ServerCaptioner(name, settings)
    return require("urbanln.captions.networks.local_model").LocalCaptioner(name, settings)
