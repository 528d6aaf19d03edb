"""Libraries that only some commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simdnn.errors import InputError

LAB = {"secmlt", "foolbox", "pyautoattack", "pytorch_ood", "skimage", "pywt"}
"""What ``pip install 'simdnn[lab]'`` brings."""


@contextmanager
def lab_libraries() -> Iterator[None]:
    """Say how to install what a command of the lab needs, where an import within the block finds it missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in LAB:
            raise
        raise InputError(f"this command needs {error.name}; pip install 'simdnn[lab]'") from error
