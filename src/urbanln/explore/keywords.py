"""Plain keyword search in captions: what text search has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from urbanln.explore.words import words_of


class Keywords:
    """TF-IDF over the captions of regions.

    Args:
        texts: All selected captions of each region as one text, (N); empty where a region has none.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._silent = np.array([not text for text in texts])
        self._counts = TfidfVectorizer(analyzer=_stems, sublinear_tf=True, dtype=np.float32)
        self._table = None
        if any(_stems(text) for text in texts):
            self._table = self._counts.fit_transform(texts)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """Cosine of each region's words with the query's, (N,): 0 where none is shared, NaN without words."""
        found = np.zeros(len(self._silent), np.float32)
        if self._table is not None:
            found = np.asarray(
                (self._table @ self._counts.transform([query]).T).todense(), dtype=np.float32
            ).ravel()
        found[self._silent] = np.nan
        return found


def _stems(text: str) -> list[str]:
    """Words, the plural of the simplest kind taken off: "roofs" is a roof."""
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
            for word in words_of(text)]  # fmt: skip
