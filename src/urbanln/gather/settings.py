"""What every part and every source of a recipe has: bounds, terms, hosts, a key that is only named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from urbanln.base.errors import InputError

_VARIABLE = r"^[A-Z][A-Z0-9_]{0,63}$"
_HOST = r"^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252}[A-Za-z0-9])?$"
_HEADER = r"^[A-Za-z][A-Za-z0-9-]{0,63}$"
Host = Annotated[str, Field(pattern=_HOST)]
_HOSTS = r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.:_-]{0,252}[A-Za-z0-9])?$"
Hosts = Annotated[str, Field(pattern=_HOSTS)]
"""A host, or all that end alike: ``*.example.org``."""
KEY = "{key}"
"""Where a key goes in an address or a header."""


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("this is sent to servers, and must be one line of ASCII")
    return text


Line = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]


class Part(BaseModel):
    """Every number has bounds, and a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Terms(Part):
    """On whose terms something is used; it reaches ``city.toml``."""

    licence: str = Field(min_length=1, max_length=500, description="licence or terms; they reach city.toml")
    attribution: str = Field(min_length=1, max_length=500, description="whom to name; reaches city.toml")


class SourceSettings(Terms):
    """What every source of the network is asked by."""

    hosts: tuple[Hosts, ...] = Field(
        (), max_length=20, description="further hosts that answers may lead to; *.example.org: all of them"
    )
    key: str = Field("", pattern=rf"{_VARIABLE}|^$", description="environment variable that holds the key")
    headers: dict[Annotated[str, Field(pattern=_HEADER)], Line] = Field(
        {}, max_length=20, description="sent along; {key} stands for the key"
    )
    mean_kb: float | None = Field(
        None, gt=0, le=1_000_000, description="size of an answer in kB; left out: --plan takes a small sample"
    )
    usd_per_1000: float = Field(0.0, ge=0, le=1e6, description="price of a thousand requests")

    def at(self, folder: Path) -> Self:
        """With paths as they are from here.

        Args:
            folder: Of the recipe, which its paths are relative to.
        """
        return self

    def reads(self) -> list[Path]:
        """Files of this machine that decide what comes out, besides answers; after :meth:`at`."""
        return []


def read_key(settings: SourceSettings, where: str) -> str:
    """The key of a source, from the environment; empty where it needs none.

    Args:
        settings: Of the source.
        where: Its section, for errors.

    Raises:
        InputError: The variable is not set, or holds what cannot be sent.
    """
    if not settings.key:
        return ""
    key = os.environ.get(settings.key, "").strip()
    if not key:
        remedy = f"export {settings.key}=…; the key itself is written nowhere"
        raise InputError(
            "the environment variable with the key is not set", value=settings.key, where=where, remedy=remedy
        )
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", key):
        remedy = "a key is one word of ASCII: copy it again"
        raise InputError(
            "the environment variable holds what is no key", value=settings.key, where=where, remedy=remedy
        )
    return key
