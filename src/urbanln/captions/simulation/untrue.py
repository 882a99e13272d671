"""False statements at a stated share: what is there is taken for something that is not.

    park, three pools, a river   →   park, three tanks, a river

The number of statements stays, so the share of false ones can be asked for. Who errs alike with whom is a
matter of where the random numbers come from: the captioner's own, or those of all captioners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from numpy.random import Generator

from urbanln.captions.simulation.wording import Mention, invented
from urbanln.city.synthetic.scene import VOCABULARY


class Mistaken(NamedTuple):
    """For what a thing may be mistaken.

    Attributes:
        drawn: The mistake is made where this is below the share that is wanted.
        taken_for: Name, number; None where nothing is left that is not in the picture.
    """

    drawn: float
    taken_for: Mention | None


def mistakes(true: Sequence[Mention], view: str, rng: Generator) -> dict[str, Mistaken]:
    """A possible mistake for every thing of a picture: no two for the same, and none for what is there.

    The layout is taken for other layout and details for other details, as long as there are any. Those who
    are most likely to be mistaken choose first, so a smaller share makes some of the same mistakes.

    Args:
        true: All things of the picture.
        view: Kind of picture.
        rng: Decides.
    """
    drawn = rng.random(len(true))
    there = {mention.name for mention in true}
    others = [thing.name for thing in VOCABULARY.values() if view in thing.views and thing.name not in there]
    free = [others[k] for k in rng.permutation(len(others))]
    found: dict[str, Mistaken] = {}
    for k in drawn.argsort():
        alike = [name for name in free if VOCABULARY[name].gross is VOCABULARY[true[k].name].gross]
        name = next(iter(alike or free), None)
        if name is not None:
            free.remove(name)
        found[true[k].name] = Mistaken(float(drawn[k]), invented(name, view, rng) if name else None)
    return found


def take_for_others(
    seen: Sequence[Mention],
    own: Mapping[str, Mistaken],
    common: Mapping[str, Mistaken],
    *,
    share: float,
    shared: float,
    whose: Generator,
) -> tuple[list[Mention], list[Mention]]:
    """What is told of what is seen: the true things, and those that some are mistaken for, in order.

    Args:
        seen: Things of the picture.
        own: The captioner's possible :func:`mistakes`.
        common: Those of all captioners.
        share: Chance of each thing to be mistaken.
        shared: Chance that this is decided by the common mistakes.
        whose: Decides between the two, the same for all captioners.

    Returns:
        All that is told, and of that the false.
    """
    of_all = {name: whose.random() < shared for name in common}
    taken: dict[str, Mention] = {}
    # Common mistakes go first: what all say must not be lost to what one captioner says besides.
    for mention in sorted(seen, key=lambda one: not of_all[one.name]):
        drawn, other = (common if of_all[mention.name] else own)[mention.name]
        if drawn >= share:
            continue
        used = {one.name for one in taken.values()}
        choices = [other, *(mistaken.taken_for for mistaken in own.values())]
        free = next((one for one in choices if one is not None and one.name not in used), None)
        if free is not None:
            taken[mention.name] = replace(free, place=mention.place, share=mention.share)
    return [taken.get(mention.name, mention) for mention in seen], list(taken.values())
