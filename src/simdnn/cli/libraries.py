"""Optional libraries that only some commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simdnn.errors import InputError

LAB = {"secmlt", "foolbox", "pyautoattack", "pytorch_ood", "skimage", "pywt"}
"""Libraries of ``pip install 'simdnn[lab]'``, for attacks and the benchmark."""

TORCH = {"torch", "torchvision", "scipy", "sklearn", "joblib", "numba", "matplotlib"}
"""Libraries of ``pip install 'simdnn[torch]'``, for all but reading guards and judging by an exported one."""


@contextmanager
def lab_libraries() -> Iterator[None]:
    """Raise InputError that says how to install a library of `LAB` that an import within the block finds missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LAB:
            raise
        raise InputError(f"this command needs {error.name}; pip install 'simdnn[lab]'") from error
