"""Noise that an attacker cannot predict, and that the guard repeats for the same image.

The certificate needs noise that is independent of the attack. Fresh random noise would be, but a flagged image could
then be submitted again until it passes. Here the noise is determined by a secret of the guard and by the image: the
same image gets the same noise, and the noise of another image cannot be predicted without the secret.
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
    image : bytes of the decoded pixels as received, before any arithmetic that differs between machines

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

    Each draw has its own random stream: NumPy's Philox, with the seed as key and the number of the draw in the highest
    word of the counter. So a draw does not depend on how the draws are split into calls, nor on the machine. It is
    drawn in float64 and rounded to float32.

    Parameters
    ----------
    seed : in [0, 2^128), see :func:`image_seed`
    start, stop : numbers of the first draw, and of the one after the last; 0 <= start <= stop
    shape : shape of one draw

    Returns
    -------
    (stop - start, *shape) values.

    Raises
    ------
    InputError
        If the seed, ``start`` or ``stop`` is outside its range.

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
