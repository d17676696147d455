"""Cooperative games with many players: Shapley values and interactions from some orders of joining, with their standard errors.

Orders come in blocks. A block is a square in which every player stands once at every place and, beside each order, its reverse: half of
what chance would add cancels (antithetic and stratified sampling; Mitchell et al. 2022, arXiv:2104.12199, section 4). Every two players
stand side by side in it, which is what their interaction is read from. The players are put on the square at random, so that each order by
itself is drawn evenly: a block's answer is unbiased, and how blocks differ says how far off their mean is.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

PERMUTATIONS = 96
"""Orders tried unless told otherwise: at least so many, in whole blocks."""
FEWEST_BLOCKS = 4
"""Below that their scatter says nothing."""
MOST_SAMPLED = 60
"""A coalition is a number of 64 bits."""
Array = NDArray[Any]


def square(players: int) -> NDArray[np.int64]:
    """Orders (order, players) in which each player stands equally often at each place and beside each other one; each with its reverse.

    Williams 1949 (doi:10.1071/CH9490149): rows of ``0, 1, n - 1, 2, n - 2, ...``, shifted. For an even number the shifts hold the reverses.
    """
    zigzag = np.array([(k + 1) // 2 if k % 2 else -(k // 2) for k in range(players)])
    rows = (zigzag[None] + np.arange(players)[:, None]) % players
    return rows if players % 2 == 0 else np.concatenate([rows, rows[:, ::-1]])


class Estimate(NamedTuple):
    """Estimated values, (..., player), and interactions, (..., player, player), with their standard errors."""

    values: Array
    error: Array
    interactions: Array
    interaction_error: Array


class Orders:
    """Orders of joining, in blocks, and the coalitions that they need.

    Parameters
    ----------
    relabelled : int array, (block, player)
        Which player takes each place of the square, in each block.

    Attributes
    ----------
    coalitions : bool array, (coalition, player)
        All that are needed, each once; the empty one first, that of all last.
    orders : int array, (block, order, player)
    """

    def __init__(self, relabelled: NDArray[np.int64]) -> None:
        players = relabelled.shape[1]
        self.orders = relabelled[:, square(players)]
        bits = np.int64(1) << self.orders
        before = np.concatenate([np.zeros((*bits.shape[:2], 1), dtype=np.int64), np.cumsum(bits, axis=2)], 2)
        skipping = before[..., :-2] | bits[..., 1:]  # all before a player, and the one after it
        codes = np.unique(np.concatenate([before.ravel(), skipping.ravel()]))
        self.coalitions = (codes[:, None] >> np.arange(players)) & 1 == 1
        self._before, self._skipping = np.searchsorted(codes, before), np.searchsorted(codes, skipping)

    @classmethod
    def drawn(cls, players: int, permutations: int, seed: int) -> "Orders":
        """At least so many orders, in whole blocks; the same seed gives the same.

        Raises
        ------
        InputError
            For fewer than two players or too many, or no permutation.
        """
        if not 2 <= players <= MOST_SAMPLED:
            raise InputError(f"sampled contributions need 2 to {MOST_SAMPLED} modalities, not {players}.")
        if isinstance(permutations, bool) or permutations < 1:
            raise InputError(f"permutations={permutations!r}: a number of orders to try, e.g. {PERMUTATIONS}.")
        blocks = max(FEWEST_BLOCKS, -(-int(permutations) // len(square(players))))
        rng = np.random.default_rng([seed, 53, players])
        return cls(np.stack([rng.permutation(players) for _ in range(blocks)]))

    def __len__(self) -> int:
        return int(self.orders.shape[0] * self.orders.shape[1])

    def estimate(self, game: Array) -> Estimate:
        """Shapley values (Castro et al. 2009, doi:10.1016/j.cor.2008.04.004) and interaction indices of games (..., coalition).

        Values sum to what all are worth less what nobody is, exactly: each order's steps do.
        """
        game = np.asarray(game, dtype=np.float64)
        each = [self._block(game, b) for b in range(len(self.orders))]
        values, pairs = (np.stack([one[k] for one in each]) for k in (0, 1))
        root = np.sqrt(len(each))
        return Estimate(values.mean(0), values.std(0, ddof=1) / root, pairs.mean(0), pairs.std(0, ddof=1) / root)

    def _block(self, game: Array, block: int) -> tuple[Array, Array]:
        """One block's answer."""
        orders, before, skipping = self.orders[block], self._before[block], self._skipping[block]
        count, players = orders.shape
        values = np.zeros((*game.shape[:-1], players))
        pairs = np.zeros((*game.shape[:-1], players, players))
        for order, at, beside in zip(orders, before, skipping, strict=True):
            steps = game[..., at]
            values[..., order] += np.diff(steps, axis=-1)
            # v(S + both) - v(S + one) - v(S + other) + v(S), of all that stand side by side
            together = steps[..., 2:] - steps[..., 1:-1] - game[..., beside] + steps[..., :-2]
            pairs[..., order[:-1], order[1:]] += together
            pairs[..., order[1:], order[:-1]] += together
        return values / count, pairs * players / (2 * count)
