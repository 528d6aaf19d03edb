"""The deployed rule: accept the network's class if its share of the votes of ``n`` draws is at least ``tau``.

The number of votes is binomial: an image with a true share below ``tau`` may pass by chance. :func:`share_needed`
accounts for that.
"""

from __future__ import annotations

from math import ceil

from simdnn.errors import InputError


def votes_needed(tau: float, n: int) -> int:
    """Smallest number of votes k with ``k / n >= tau`` in floating-point arithmetic.

    Parameters
    ----------
    tau : threshold on the share, in (0, 1]
    n : number of draws, at least 1

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
    near = ceil(tau * n)  # the product is rounded, so that k may be one more or one less
    return next(k for k in (near - 1, near, near + 1) if k / n >= tau)


def share_needed(tau: float, n: int, miss: float) -> float:
    """Return the true share below which an image passes with probability at most ``miss``.

    It is the lower Clopper-Pearson bound for :func:`votes_needed` votes: with that true share, at least so many votes
    have probability ``miss``; with a smaller one, a smaller probability.

    Parameters
    ----------
    tau, n : the deployed threshold and number of draws, see :func:`votes_needed`
    miss : probability of passing by chance of the draws, in (0, 1), for *one* submitted image; that any of m images
        does has probability at most ``m * miss``

    Returns
    -------
    Share in (0, 1), below ``tau`` for small ``miss``.

    >>> round(share_needed(0.7, 100, 0.001), 3), round(share_needed(0.7, 10_000, 0.001), 3)
    (0.543, 0.686)
    """
    from simdnn.smoothing.bounds import lower_bound  # needs SciPy

    return float(lower_bound(votes_needed(tau, n), n, miss))


def early_decision(votes: int, drawn: int, n: int, tau: float) -> bool | None:
    """Return the decision of all ``n`` draws as soon as the remaining draws cannot change it (curtailment).

    The decision is always that of the full ``n`` draws, so that threshold, false-alarm rate and certificate stay valid.

    Parameters
    ----------
    votes : votes for the class among the first ``drawn`` draws
    drawn : draws so far, from 0 to n
    n, tau : the deployed rule, see :func:`votes_needed`

    Returns
    -------
    True if accepted, False if flagged, None if not decided yet; never None at ``drawn == n``.

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
