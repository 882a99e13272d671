"""The vectors of words that a small spaCy pipeline tags and parses by, with numpy's matrix products.

A word's first vector depends on nothing but its form, so it is worked out once for all texts; what neighbours
add to it are four layers, which numpy multiplies three times as fast as spaCy's own library. Equal to
spaCy's but for the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

_KEPT = 50_000  # words of which the first vector is kept, 400 bytes each
_ROWS = 1_024  # of a product: what it needs fits into a core's own cache
_LAYER = "residual(expand_window>>maxout>>layernorm>>dropout)"
_EMBED = ("extract_features", "list2ragged", "with_array", "with_array", "ragged2list")
_PIECES = 3
_NEAR = 1e-4  # spaCy's vectors have values around 1; rounding differs by some 1e-6
_PROBE = "Two old houses with red roofs stand beside a park; there isn't a car on the gray road."


class WordLayers:
    """Vectors of the words of texts.

    Args:
        columns: The features of a word that its first vector depends on.
        first: Makes first vectors of rows of features.
        layers: Of each layer the product with a word and its two neighbours, piece by piece, what is added,
            and scale and shift of its norm.
    """

    def __init__(self, columns: Sequence[Any], first: Any, layers: Sequence[tuple[np.ndarray, ...]]) -> None:
        self._columns, self._first, self._layers = list(columns), first, list(layers)
        self._width = len(layers[0][2])
        self._gap = len(layers)  # rows between texts: so far does a word look, a layer each
        self._row_of: dict[tuple[int, ...], int] = {}
        self._firsts = np.zeros((1, self._width), np.float32)

    def vectors(self, docs: Sequence[Doc]) -> list[np.ndarray]:
        """(words, width) float32 of each text."""
        found: list[np.ndarray] = []
        together: list[list[int]] = []
        for rows in self._rows(docs):
            together.append(rows)
            if sum(map(len, together)) >= _ROWS:
                found += self._through(together)
                together = []
        return found + (self._through(together) if together else [])

    def _rows(self, docs: Sequence[Doc]) -> list[list[int]]:
        """Where the first vectors of the words stand; those of new words are worked out."""
        words = [list(map(tuple, doc.to_array(self._columns).tolist())) for doc in docs]
        if len(self._row_of) > _KEPT:
            self._row_of, self._firsts = {}, self._firsts[:1]
        fresh = [
            word for word in dict.fromkeys(w for found in words for w in found) if word not in self._row_of
        ]
        if fresh:
            vectors = self._first.predict([np.array(fresh, dtype=np.uint64)])[0]
            self._row_of.update(
                zip(fresh, range(len(self._firsts), len(self._firsts) + len(fresh)), strict=True)
            )
            self._firsts = np.concatenate([self._firsts, vectors])
        return [[self._row_of[word] for word in found] for found in words]

    def _through(self, texts: list[list[int]]) -> list[np.ndarray]:
        gap = [0] * self._gap
        states = self._firsts[gap + [row for rows in texts for row in (*rows, *gap)]]
        for layer in self._layers:
            states = self._layer(states, *layer)
        ends = np.cumsum([self._gap, *(len(rows) + self._gap for rows in texts)])
        return [states[end : end + len(rows)] for end, rows in zip(ends, texts, strict=False)]

    def _layer(
        self, states: np.ndarray, weight: np.ndarray, bias: np.ndarray, scale: np.ndarray, shift: np.ndarray
    ) -> np.ndarray:
        width = self._width
        seen = np.zeros((len(states), 3 * width), np.float32)
        seen[1:, :width] = states[:-1]
        seen[:, width : 2 * width] = states
        seen[:-1, 2 * width :] = states[1:]
        pieces = seen @ weight
        pieces += bias
        most = pieces[:, :width]
        for piece in range(1, _PIECES):
            np.maximum(most, pieces[:, piece * width : (piece + 1) * width], out=most)
        most -= most.mean(axis=1, keepdims=True)
        spread = np.einsum("ij,ij->i", most, most) / width + 1e-8
        most *= (1 / np.sqrt(spread))[:, None]
        most *= scale
        most += shift
        most += states
        return most


def word_layers(nlp: Language) -> WordLayers | None:
    """The layers of a pipeline; None where they are of another form, or something else comes of them."""
    tok2vec: Any = nlp.get_pipe("tok2vec")
    embed, encode = tok2vec.model.layers[:2]
    blocks = encode.layers[0].layers if encode.layers else []
    usual = tuple(node.name.partition("(")[0] for node in embed.layers) == _EMBED
    if not (usual and blocks and all(block.name == _LAYER for block in blocks)):
        return None
    layers = [_read_layer(block) for block in blocks]
    if any(layer is None for layer in layers):
        return None
    from thinc.api import chain

    found = WordLayers(
        embed.layers[0].attrs["columns"], chain(*embed.layers[1:]), [layer for layer in layers if layer]
    )
    docs = [nlp.make_doc(_PROBE), nlp.make_doc(_PROBE.partition(";")[0])]
    pairs = zip(found.vectors(docs), tok2vec.predict(docs), strict=True)
    return found if all(np.allclose(ours, theirs, atol=_NEAR) for ours, theirs in pairs) else None


def _read_layer(block: Any) -> tuple[np.ndarray, ...] | None:
    parts = {node.name: node for node in block.walk()}
    weight, bias = (parts["maxout"].get_param(name) for name in ("W", "b"))
    width, pieces, seen = weight.shape
    if pieces != _PIECES or seen != 3 * width or parts["expand_window"].attrs["window_size"] != 1:
        return None
    norm = [parts["layernorm"].get_param(name) for name in ("G", "b")]
    by_piece = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(seen, pieces * width))
    return by_piece, np.ascontiguousarray(bias.T.reshape(-1)), *norm
