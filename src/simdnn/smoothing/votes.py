"""The deployed rule: of ``n`` draws, accept a class whose share of the votes is at least ``tau``.

Votes are a sample: an image whose true share of the class is p has a binomial number of them. What the rule promises
about p therefore keeps a probability of missing, :func:`share_needed`.
"""

from __future__ import annotations

from math import ceil

from simdnn.errors import InputError
from simdnn.smoothing.bounds import lower_bound


def votes_needed(tau: float, n: int) -> int:
    """Smallest number of votes k with ``k / n >= tau``, as floating-point numbers compare.

    Parameters
    ----------
    tau : threshold on the share, in (0, 1]
    n : draws, at least 1

    Raises
    ------
    InputError
        If tau or n is outside its range.

    >>> votes_needed(0.62, 100), votes_needed(0.07, 100), votes_needed(1 / 3, 3)
    (62, 7, 1)
    """
    if n < 1 or not 0 < tau <= 1:
        raise InputError(
            f"expected a threshold on the share in (0, 1] and at least 1 draw; got {tau} and {n}"
        )
    near = ceil(tau * n)  # the product is rounded, so that a neighbour may be right
    return next(k for k in (near - 1, near, near + 1) if k / n >= tau)


def share_needed(tau: float, n: int, miss: float) -> float:
    """Return the true share below which an image passes ``n`` draws with probability at most ``miss``.

    It is the lower Clopper-Pearson bound of as many votes as are needed: at that share, that many votes or more have
    probability ``miss``, and at a smaller share less.

    Parameters
    ----------
    tau, n : the deployed threshold and number of draws, see :func:`votes_needed`
    miss : probability of passing by luck of the draws, in (0, 1), for *one* submitted image; m images together pass by
        luck with probability at most ``m * miss``

    Returns
    -------
    Share in (0, tau) for small ``miss``; ``tau`` less it is what the binomial error costs.

    >>> round(share_needed(0.7, 100, 0.001), 3), round(share_needed(0.7, 10_000, 0.001), 3)
    (0.543, 0.686)
    """
    return float(lower_bound(votes_needed(tau, n), n, miss))


def early_decision(votes: int, drawn: int, n: int, tau: float) -> bool | None:
    """Say whether the draws so far decide what all ``n`` will.

    It stops when the rest of the draws can no longer change the outcome (curtailment). So it is always the decision of
    the full ``n`` draws: there is no error of its own, and threshold, false-alarm promise and certificate stay as they
    are.

    Parameters
    ----------
    votes : votes for the class among the first ``drawn`` draws
    drawn : draws so far, from 0 to n
    n, tau : the deployed rule, see :func:`votes_needed`

    Returns
    -------
    True: accepted; False: flagged; None: not decided yet, never at ``drawn == n``.

    Raises
    ------
    InputError
        If there are more votes than draws, or more draws than n.

    >>> early_decision(7, 8, 10, 0.7), early_decision(3, 7, 10, 0.7), early_decision(5, 7, 10, 0.7)
    (True, False, None)
    """
    if not 0 <= votes <= drawn <= n:
        raise InputError(f"expected votes <= draws so far <= {n} draws; got {votes} votes in {drawn}")
    needed = votes_needed(tau, n)
    if votes >= needed:
        return True
    return None if votes + n - drawn >= needed else False
