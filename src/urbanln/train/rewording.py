"""Captions told otherwise while training, so that no place in a text is learnt for what always stands there.

Long captions open with a sentence that sums up the rest, and a model can do without that rest. Three changes,
each made to a share of the captions that are drawn: the opening sentence is left out; some of the sentences
are taken, in any order; padding pushes the text back. Nothing is learnt for them, and validation reads whole
captions.

Source: DeBias-CLIP (arXiv 2602.22419), which trains on a whole and on a changed caption of each picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from urbanln.base.config import TrainSettings

Row = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Rewording:
    """Which share of the captions is changed, and how.

    Args:
        drop_opening: Share whose first sentence is left out, where another follows.
        sample_sentences: Share of which a random number of sentences is read, at least one, in random order.
        pad_front: Share before which a random number of padding tokens stands, as many as there is room for.
    """

    drop_opening: float = 0.0
    sample_sentences: float = 0.0
    pad_front: float = 0.0

    @classmethod
    def of(cls, settings: TrainSettings) -> Rewording:
        """What the settings say."""
        return cls(settings.drop_opening, settings.sample_sentences, settings.pad_front)

    def __bool__(self) -> bool:
        """Whether any caption is changed."""
        return bool(self.drop_opening or self.sample_sentences or self.pad_front)

    def told(self, sentences: Sequence[Row], room: int, pad: int, seed: int) -> Row:
        """The tokens of one caption as it is read this time, a pure function of the arguments.

        Args:
            sentences: Token ids of each, without those of start and end.
            room: Tokens that there are positions for.
            pad: The token to pad with.
            seed: Of this pair in this epoch.

        Returns:
            int32, up to ``room`` tokens.
        """
        rng = np.random.default_rng(seed)
        # Drawn always, so that one share does not change what another one draws.
        drops, samples, pads = rng.random(3) < (self.drop_opening, self.sample_sentences, self.pad_front)
        read = list(sentences[1:] if drops and len(sentences) > 1 else sentences)
        if samples:
            order = rng.permutation(len(read))[: rng.integers(1, len(read) + 1)]
            read = [read[place] for place in order]
        row = np.concatenate(read)[:room] if read else np.empty(0, np.int32)
        if pads:
            row = np.concatenate([np.full(rng.integers(0, room - len(row) + 1), pad, np.int32), row])
        return row
