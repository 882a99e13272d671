"""What is sent to a server, and whether it leaves this machine and its network."""

from __future__ import annotations

import base64
import io
import ipaddress
from urllib.parse import SplitResult, urlsplit

from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.pictures import open_picture, open_stored
from urbanln.captions.captioners.base import Ask

_QUALITY = 90
# Segments of a JPEG that tell how to show it: JFIF, the colour profile, Adobe's colour transform. Others may
# hold anything, and Pillow reports few of them.
_PLAIN_SEGMENTS = {"APP0", "APP2", "APP14"}
# What Pillow reports of a file that tells how to show it, and nothing about where or by whom it was made.
_HARMLESS = {
    "jfif",
    "jfif_version",
    "jfif_unit",
    "jfif_density",
    "dpi",
    "progressive",
    "progression",
    "adobe",
    "adobe_transform",
    "gamma",
    "srgb",
    "aspect",
    "interlace",
    "icc_profile",
}


def data_url(ask: Ask, max_edge: int) -> str:
    """The shown picture as a data URL.

    The file's own bytes when the whole of a JPEG or PNG no larger than ``max_edge`` is shown and nothing but
    the picture is in it, as it is to be seen; else the upright RGB picture, scaled down to ``max_edge``, as
    JPEG: so no place or camera noted inside a file goes out with it.

    Raises:
        OSError, InputError: The picture cannot be read.
    """
    if ask.box is None:
        data = ask.picture.read()
        kind = _plain_kind(data, max_edge)
        if kind is not None:
            return f"data:{kind};base64,{base64.b64encode(data).decode()}"
    shown = ask.image()
    return jpeg_url(shown, max_edge, _QUALITY)


def jpeg_url(image: Image.Image, max_edge: int, quality: int) -> str:
    """An image as a JPEG in a data URL; it is itself scaled down to ``max_edge`` where it is larger."""
    image.thumbnail((max_edge, max_edge), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _plain_kind(data: bytes, max_edge: int) -> str | None:
    """Media type of a file that may be sent as it is, or None."""
    open_picture(data)  # it must be whole
    with open_stored(data) as image:
        plain = (
            image.format in ("JPEG", "PNG")
            and max(image.size) <= max_edge
            and image.mode in ("RGB", "L")
            and set(image.info) <= _HARMLESS
            and not image.getexif()
            and not getattr(image, "text", None)
            and {name for name, _ in getattr(image, "applist", ())} <= _PLAIN_SEGMENTS
            and not getattr(image, "private_chunks", None)
        )
        return f"image/{image.format.lower()}" if plain and image.format else None


def server_url(base_url: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        InputError: Not ``http://`` or ``https://`` with a host, or with a password or query in it.
    """
    try:
        parts = urlsplit(base_url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(
            "not the address of a server",
            value=str(error),
            where="base_url",
            remedy="write it as http://localhost:8000/v1",
        ) from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise InputError(
            "a server's address must hold neither a password nor a query",
            where=host or "base_url",
            remedy="put the key into an environment variable and name that as key_env",
        )
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(
            "not the address of a server",
            value=base_url,
            remedy="write it as http://localhost:8000/v1",
            where="base_url",
        )
    return parts


def is_near(host: str) -> bool:
    """Whether a host is this machine or one of its own network, by its name or number alone.

    Near are loopback, private and link-local numbers, ``localhost``, names ending in ``.local``, and names
    without a dot.

    Example:
        >>> is_near("192.168.1.7"), is_near("gpu-box"), is_near("api.example.com")
        (True, True, False)
    """
    host = host.lower().rstrip(".")
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        # "134744072" and "0x8080808" are numbers of machines anywhere, written without a dot.
        if host[:1].isdigit() and "." not in host:
            return False
        return "." not in host or host.endswith((".localhost", ".local"))
    number = getattr(number, "ipv4_mapped", None) or number
    return number.is_loopback or number.is_private or number.is_link_local or number.is_unspecified
