"""Cooperative games with few players, solved exactly: Shapley values and interactions from the value of every coalition.

A coalition of M players is an integer whose bit m says whether player m is in it; a game is an array whose last axis
holds the values of all 2^M coalitions in that order, so that ``game[..., 0]`` is the empty one.
"""

from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

MOST_PLAYERS = 10
"""2^10 coalitions; beyond that `games_sampled` estimates."""


def members(players: int) -> NDArray[np.bool_]:
    """Who is in each coalition: bool, (2^players, players).

    Raises
    ------
    InputError
        For no player, or more than `MOST_PLAYERS`.
    """
    if not 1 <= players <= MOST_PLAYERS:
        raise InputError(f"exact contributions need 1 to {MOST_PLAYERS} modalities (2^M coalitions), not {players}. Name fewer: modalities=[...].")
    return (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1


def _players(game: NDArray[Any]) -> int:
    players = int(game.shape[-1]).bit_length() - 1
    if game.shape[-1] != 2**players:
        raise InputError(f"a game has 2^M coalitions on its last axis, not {game.shape[-1]}.")
    return players


def shapley_values(game: NDArray[Any]) -> NDArray[np.float64]:
    """What each player adds, averaged over all orders of joining (Shapley 1953, in Contributions to the Theory of Games II, p. 307).

    Parameters
    ----------
    game : array, (..., 2^M)

    Returns
    -------
    array, (..., M)
        Sums to ``game[..., -1] - game[..., 0]``.
    """
    game = np.asarray(game, dtype=np.float64)
    players = _players(game)
    inside = members(players)
    size = inside.sum(1)
    values = np.zeros((*game.shape[:-1], players))
    for player in range(players):
        without = np.flatnonzero(~inside[:, player])
        weight = np.array([factorial(s) * factorial(players - s - 1) / factorial(players) for s in size[without]])
        values[..., player] = (game[..., without | 1 << player] - game[..., without]) @ weight
    return values


def interaction_index(game: NDArray[Any]) -> NDArray[np.float64]:
    """The Shapley interaction index of each pair (Grabisch & Roubens 1999, Int. J. Game Theory 28, 547).

    Positive where two players are worth more together than apart (they complete each other), negative where they say
    the same.

    Parameters
    ----------
    game : array, (..., 2^M)

    Returns
    -------
    array, (..., M, M)
        Symmetric, with a zero diagonal.
    """
    game = np.asarray(game, dtype=np.float64)
    players = _players(game)
    inside = members(players)
    size = inside.sum(1)
    index = np.zeros((*game.shape[:-1], players, players))
    for i in range(players):
        for j in range(i):
            without = np.flatnonzero(~inside[:, i] & ~inside[:, j])
            weight = np.array([factorial(s) * factorial(players - s - 2) / factorial(players - 1) for s in size[without]])
            both, one, other = without | 1 << i | 1 << j, without | 1 << i, without | 1 << j
            index[..., i, j] = index[..., j, i] = (game[..., both] - game[..., one] - game[..., other] + game[..., without]) @ weight
    return index
