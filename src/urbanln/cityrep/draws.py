"""The random numbers that torch draws on a processor, without torch: CityRep's first weights and batches.

Both torch and numpy take their numbers from the Mersenne Twister and seed it alike, so that what torch makes
of
them can be made here: numbers between two bounds, whole numbers, orders of rows. With them a network of
numpy starts where CityRep's does and sees the same batches, and a published score can be made again, not
only a like one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from urbanln.base.space import Ints

Single = npt.NDArray[np.float32]
_WORD = 2**32
_MANTISSA = 24  # bits of a float32


class Draws:
    """What torch draws one after another from one seed.

    Args:
        seed: As of ``torch.manual_seed``; of a larger one torch takes the lower 32 bits.

    Source:
        ``uniform_``, ``random_`` and ``randperm`` of torch on a processor; Matsumoto and Nishimura 1998.
    """

    def __init__(self, seed: int) -> None:
        self._stream = np.random.RandomState(seed % _WORD)

    def words(self, count: int) -> npt.NDArray[np.uint32]:
        """So many whole numbers of 32 bits."""
        return self._stream.randint(0, _WORD, size=count, dtype=np.uint32)

    def uniform(self, bound: float, *shape: int) -> Single:
        """Numbers between −bound and bound, as ``uniform_`` fills a float32 tensor."""
        low_bits = self.words(int(np.prod(shape))) & np.uint32(2**_MANTISSA - 1)
        part = low_bits.astype(np.float32) * np.float32(2.0**-_MANTISSA)
        return (part * np.float32(2 * bound) - np.float32(bound)).reshape(shape)

    def whole(self) -> int:
        """A whole number of 63 bits, as ``random_`` fills an int64 tensor: seeds of others."""
        high, low = self.words(2).tolist()
        return ((high << 32) | low) % 2**63

    def order(self, rows: int) -> Ints:
        """The numbers 0 … rows − 1 in some order, as ``randperm``: Fisher and Yates, from the front."""
        made = list(range(rows))
        left = np.arange(rows, 1, -1, dtype=np.int64)
        for at, step in enumerate((self.words(len(left)).astype(np.int64) % left).tolist()):
            other = at + step
            made[at], made[other] = made[other], made[at]
        return np.array(made, dtype=np.int64)
