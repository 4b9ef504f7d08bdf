"""A keyed permutation: shuffles any number of rows without holding them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROUNDS = 4
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Permutation:
    """A pseudo-random permutation of 0 … size - 1 that is evaluated element by element.

    A Feistel network permutes the next even power of two; numbers that leave the range are
    permuted again until they return (cycle walking).

    Attributes
    ----------
    size : int
    keys : tuple of int
        One 64-bit key a round.

    Notes
    -----
    Luby and Rackoff (1988) for the network, Black and Rogaway (2002) for the walk.
    """

    size: int
    keys: tuple[int, ...]

    @classmethod
    def random(cls, size: int, rng: np.random.Generator) -> Permutation:
        """Return a permutation whose keys are drawn from `rng`."""
        keys = rng.integers(0, 2**64, size=ROUNDS, dtype=np.uint64)
        return cls(size=size, keys=tuple(int(key) for key in keys))

    def __call__(self, index: Words) -> Words:
        """Return the image of each index, shape (n,), uint64."""
        image = self._network(index)
        outside = np.flatnonzero(image >= self.size)
        while len(outside):
            walked = self._network(image[outside])
            image[outside] = walked
            outside = outside[walked >= self.size]
        return image

    def _network(self, index: Words) -> Words:
        half = np.uint64(max(1, ((self.size - 1).bit_length() + 1) // 2))
        mask = (np.uint64(1) << half) - np.uint64(1)
        left, right = index >> half, index & mask
        for key in self.keys:
            left, right = right, left ^ (_mix(right + np.uint64(key)) & mask)
        joined: Words = (left << half) | right
        return joined


def _mix(word: Words) -> Words:
    """Spread every bit over the word (the finalizer of splitmix64, shortened)."""
    word = word * np.uint64(0xBF58476D1CE4E5B9)
    word ^= word >> np.uint64(29)
    word *= np.uint64(0x94D049BB133111EB)
    word ^= word >> np.uint64(32)
    return word
