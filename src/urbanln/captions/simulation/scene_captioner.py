"""Simulated captioners and a simulated detector as parts of a run: they see the true scene of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from urbanln.base.errors import InputError
from urbanln.captions.captioners.base import Answer, Ask, Box, Captioner, Identity, Limits, Picture
from urbanln.captions.settings import SimulationSettings
from urbanln.captions.simulation.naming import meant_objects
from urbanln.captions.simulation.simulated import SIMULATED, SimulatedCaptioner
from urbanln.captions.simulation.wording import STYLES, generator
from urbanln.city.synthetic.scene import read_scene

_WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


def answer_of(simulated: SimulatedCaptioner, ask: Ask) -> str | None:
    """What a simulated captioner answers from the true scene of a picture; None where there is no scene.

    Raises:
        LastingFault: The prompt of a merge or repair has not the headings of the package's own.
        ArtefactError: The file is no scene, or too old to ask about parts.
    """
    picture = ask.picture
    if picture.scene_path is None:
        return None
    scene = _scene(picture.scene_path)
    if ask.stage == "local":
        return simulated.describe_part(scene, picture.image_id, ask.box or _WHOLE)
    if ask.stage == "merge":
        return simulated.merge(scene, picture.image_id, ask.prompt.text)
    if ask.stage == "repair":
        return simulated.repair(scene, picture.image_id, ask.prompt.text)
    return simulated.describe(scene, picture.image_id)


def simulated_as(settings: SimulationSettings) -> list[SimulatedCaptioner]:
    """The simulated captioners that settings ask for: the five that ship, or ``alike-1`` … ``alike-N``.

    Alike ones overlook and take for others as much as each other, in one of five ways of speaking; none makes
    up anything besides, so that the share of what is false is the one that was asked for.
    """
    alike = tuple(
        SimulatedCaptioner(
            f"alike-{k + 1}",
            omission=settings.omission,
            hallucination=0.0,
            style=list(STYLES)[k % len(STYLES)],
        )
        for k in range(settings.captioners)
    )
    how: dict[str, Any] = settings.model_dump(include={"untrue", "shared", "words", "details_at"})
    return [replace(one, **how) for one in alike or SIMULATED]


class SceneCaptioner(Captioner):
    """Shows a simulated captioner the true scene kept beside each synthetic picture.

    Args:
        simulated: Describes a scene with omissions and errors of its own.
    """

    prompted = True
    limits = Limits(concurrency=8)

    def __init__(self, simulated: SimulatedCaptioner) -> None:
        self._simulated = simulated
        self.identity = Identity(simulated.name, simulated.revision)

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        """Check that there are scenes.

        Raises:
            InputError: Not one picture has a scene.
        """
        bare = sum(picture.scene_path is None for picture in pictures)
        if pictures and bare == len(pictures):
            raise InputError(
                "simulated captions need a synthetic city: no true scene is kept beside any picture",
                where=pictures[0].path,
                remedy="describe real pictures with the captioner 'measured' or 'recorded:TABLE'",
            )
        name = self.identity.name
        return [f"{name}: {bare} pictures have no true scene beside them"] if bare else []

    async def answer(self, ask: Ask) -> Answer | None:
        """As :func:`answer_of`."""
        text = answer_of(self._simulated, ask)
        return None if text is None else Answer(text, finish="stop")


class SimulatedGrounder:
    """A detector of stated quality, which knows the true scene: the same verdict for the same picture.

    Phrases that mean no object of the synthetic world ("area", "ground") are kept: nobody knows their truth.

    Args:
        finds: Chance that an object in the picture scores above the threshold.
        rejects: Chance that an object that is not there scores below it.
        seed: Another seed errs elsewhere at the same rates.

    Raises:
        InputError: A chance outside 0–1.
    """

    threshold = 0.5

    def __init__(self, finds: float = 0.95, rejects: float = 0.75, seed: int = 0) -> None:
        for label, value in (("finds", finds), ("rejects", rejects)):
            if not 0.0 <= value <= 1.0:
                raise InputError(
                    f"{label} must be from 0 to 1",
                    value=value,
                    where=label,
                    remedy="give a number from 0 to 1",
                )
        self._finds, self._rejects, self._seed = finds, rejects, seed
        self.version = f"simulated-detector 1 {finds} {rejects} {seed}"

    def ground(self, picture: Picture, boxes: Sequence[Box], phrases: Sequence[str]) -> list[float]:
        """One score in [0, 1] per phrase, in order; boxes do not matter.

        Raises:
            InputError: The picture has no true scene.
        """
        if picture.scene_path is None:
            raise InputError(
                "a simulated detector needs a synthetic city",
                where=picture.path,
                remedy="make one: urbanln synthetic",
            )
        there = {thing["name"] for thing in _scene(picture.scene_path)["objects"]}
        return [self._score(picture, meant_objects(phrase, picture.view), there) for phrase in phrases]

    def _score(self, picture: Picture, meant: tuple[str, ...], there: set[str]) -> float:
        if not meant:
            return 1.0
        # Singular and plural, with and without a colour: the same objects, the same verdict.
        rng = generator(self._seed, "detector", f"{picture.image_id}\n{','.join(sorted(meant))}")
        chance = 1 - self._rejects if there.isdisjoint(meant) else self._finds
        above, height = rng.random() < chance, float(rng.random())
        return self.threshold + (1 - self.threshold) * height if above else self.threshold * height


def _scene(path: Path) -> dict[str, Any]:
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _read(path: Path, changed_ns: int) -> dict[str, Any]:
    """A scene is asked for once per captioner and part; made anew, the file has another time."""
    return read_scene(path.with_suffix(""))
