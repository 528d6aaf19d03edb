"""Import of the attack libraries without their warnings; to be imported before secml-torch, which imports foolbox."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

os.environ.setdefault(
    "GIT_PYTHON_REFRESH", "quiet"
)  # foolbox imports GitPython, which fails where git is missing
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    import pyautoattack
    from foolbox import attacks as foolbox_attacks
    from foolbox.distances import l2
    from foolbox.models.pytorch import PyTorchModel

foolbox: Any = foolbox_attacks  # type checkers do not see the names that it exports

__all__ = ["PyTorchModel", "foolbox", "l2", "pyautoattack", "seeded"]


@contextmanager
def seeded(generator: torch.Generator) -> Iterator[int]:
    """Seed the global random generators for a library, by a draw from ``generator``, and restore them afterwards.

    Yields the seed, for libraries that take one.
    """
    seed = int(torch.randint(2**31, (1,), generator=generator))
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield seed
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
