"""Checks of names, with errors that suggest similar names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from simdnn.errors import InputError


def one_of(value: object, known: Collection[str], what: str) -> str:
    """Return a name if it is among those known.

    Raises
    ------
    InputError
        If it is not; the message begins with ``what``, and suggests similar names.

    >>> one_of("clean", ("clean", "attack"), "kind")
    'clean'
    """
    if isinstance(value, str) and value in known:
        return value
    raise InputError(
        f"{what}: expected one of {', '.join(known)}; got {value!r}{did_you_mean([value], known)}"
    )


def refuse_unknown(given: Iterable[str], known: Collection[str], where: str) -> None:
    """Raise InputError if a setting is not known; the message begins with ``where``."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"{where} has unknown settings: {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            f"{did_you_mean(unknown, known)}"
        )


def did_you_mean(unknown: Iterable[object], known: Collection[str]) -> str:
    """Return the end of a message that suggests similar names; empty if there are none.

    >>> did_you_mean(["seeed"], ["seed", "alpha"])
    "; did you mean 'seed'?"
    >>> did_you_mean(["x"], ["seed", "alpha"])
    ''
    """
    close = [match for name in unknown for match in get_close_matches(str(name), known)]
    return f"; did you mean {' or '.join(map(repr, dict.fromkeys(close)))}?" if close else ""
