"""Short true captions, as a base model is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from urbanln.captions.simulation.wording import count_words, generator, mentions, noun_phrase, sentence
from urbanln.city.synthetic.scene import VOCABULARY

_SHORT_WORDS = 40
_AERIAL = ("an aerial view of", "a satellite image of", "a picture from above of", "a tile showing")


def short_caption(scene: Mapping[str, Any], image_id: str, seed: int = 0) -> str:
    """One or two short sentences (40 words at most), as a base model is trained on.

    Names gross content and at most two details chosen at random; makes nothing up.

    Args:
        scene: The true scene.
        image_id: Decides the wording, with ``seed``.
        seed: Another seed, another wording and other details.
    """
    rng = generator(seed, "short", image_id)
    true = mentions(scene)
    gross = [m for m in true if VOCABULARY[m.name].gross and m.name not in ("street", "sky", "pavement")]
    details = [m for m in true if not VOCABULARY[m.name].gross]
    kind = ("a street with", "a street view of", "a photo of") if scene["view"] == "street" else _AERIAL
    top = gross[: int(rng.integers(2, 4))]
    named = [top[k] for k in sorted(rng.permutation(len(top))[:2])]
    text = f"{rng.choice(kind)} {' and '.join(noun_phrase(m, rng) for m in named) or 'open ground'}"
    lines = [sentence(text)]
    chosen = [details[k] for k in rng.permutation(len(details))[: int(rng.integers(0, 3))]]
    for n in range(len(chosen), 0, -1):
        phrases = " and ".join(noun_phrase(m, rng) for m in chosen[:n])
        line = sentence(f"there {'is' if chosen[0].count == 1 else 'are'} {phrases}")
        if count_words([*lines, line]) <= _SHORT_WORDS:
            lines.append(line)
            break
    return " ".join(lines)
