"""Noise that an attacker cannot know and that the guard can always repeat.

The certificate needs draws that are independent of the attack. Drawn afresh at random they would be, but then an image
that was flagged could be sent again until it passes. Here a secret of the guard and the image itself determine them:
the same image gets the same draws, and any other image gets others that nobody can foretell without the secret.
"""

from __future__ import annotations

import hmac

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError

SHORTEST_SECRET = 16


def image_seed(secret: bytes, image: bytes) -> int:
    """Return the seed of an image's draws: the first 128 bits of HMAC-SHA256 of the image under the secret.

    Parameters
    ----------
    secret : known to the guard alone, at least 16 bytes, as from :func:`secrets.token_bytes`
    image : the decoded pixels as received, as bytes, before any arithmetic that differs between machines

    Returns
    -------
    Seed in [0, 2^128).

    Raises
    ------
    InputError
        If the secret is shorter.

    >>> image_seed(b"sixteen bytes...", b"pixels") == image_seed(b"sixteen bytes...", b"pixelt")
    False
    """
    if len(secret) < SHORTEST_SECRET:
        raise InputError(
            f"expected a secret of at least {SHORTEST_SECRET} bytes; got {len(secret)}; "
            "make one with secrets.token_bytes(32)"
        )
    return int.from_bytes(hmac.digest(secret, image, "sha256")[:16], "big")


def noise(seed: int, start: int, stop: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return draws ``start`` to ``stop - 1`` of standard normal noise.

    Every draw has a stream of its own: NumPy's Philox with the seed as its key and the number of the draw in the
    highest word of its counter. So a draw is the same however the draws are cut into blocks, and on every machine.
    They are drawn in double precision and rounded to single.

    Parameters
    ----------
    seed : in [0, 2^128), see :func:`image_seed`
    start, stop : 0 <= start <= stop
    shape : of one draw

    Returns
    -------
    (stop - start, *shape) values.

    Raises
    ------
    InputError
        If the seed or the draws are outside their range.

    >>> bool((noise(1, 0, 5, (2, 2))[3:] == noise(1, 3, 5, (2, 2))).all())
    True
    """
    if not 0 <= seed < 1 << 128:
        raise InputError(f"expected a seed of 128 bits; got {seed}")
    if not 0 <= start <= stop:
        raise InputError(f"expected draws from 0 on, in rising order; got {start} to {stop}")
    drawn = np.empty((stop - start, *shape), dtype=np.float32)
    for place, number in enumerate(range(start, stop)):
        stream = np.random.Generator(np.random.Philox(key=seed, counter=number << 192))
        drawn[place] = stream.standard_normal(shape)
    return drawn
