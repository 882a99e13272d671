"""Which kind of network a folder holds: what ``model_type`` in its ``config.json`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.base.errors import InputError
from urbanln.base.parsing import read_json
from urbanln.model.families.clip import Clip
from urbanln.model.families.family import Family
from urbanln.model.families.siglip import Siglip
from urbanln.model.families.two_towers import ChineseClip, TwoTowers
from urbanln.model.source import AGAIN, Source

FAMILIES: Mapping[str, Family] = {
    "clip": Clip(),
    "siglip": Siglip(),
    "vision-text-dual-encoder": TwoTowers(),
    "chinese_clip": ChineseClip(),
}
_INSTEAD = {
    "siglip2": "it reads pictures of any shape (NaFlex): give a checkpoint of fixed resolution, whose name "
    "ends in its pixels, such as google/siglip2-base-patch16-224",
}


def family_of(source: Source) -> Family:
    """The kind of network that a model's files hold.

    Raises:
        InputError: It is none of those that can be a base.
        ArtefactError: Its configuration is damaged.
    """
    kind = read_json(source.folder / "config.json", dict[str, Any], remedy=AGAIN).get("model_type", "none")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise InputError(
            "this model is of a kind that cannot be a base",
            value=kind,
            where=source.folder,
            remedy=_INSTEAD.get(str(kind), f"there are {', '.join(FAMILIES)}; or take 'tiny'"),
        )
    return family
