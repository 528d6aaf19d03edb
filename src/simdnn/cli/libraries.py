"""Optional libraries that only some commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simdnn.errors import InputError

LAB = {"secmlt", "foolbox", "pyautoattack", "pytorch_ood", "skimage", "pywt"}
"""Libraries of ``pip install 'simdnn[lab]'``, for attacks and the benchmark."""

SERVICE = {
    "fastapi",
    "starlette",
    "pydantic",
    "uvicorn",
    "python_multipart",
    "itsdangerous",
    "prometheus_client",
    "structlog",
    "imagehash",
}
"""Libraries of ``pip install 'simdnn[service]'``."""
TORCH = {"torch", "torchvision", "scipy", "sklearn", "joblib", "numba", "matplotlib"}
"""Libraries of ``pip install 'simdnn[torch]'``, for all but reading guards and judging by an exported one."""


@contextmanager
def lab_libraries() -> Iterator[None]:
    """Raise InputError that says how to install a library of `LAB` that an import within the block finds missing."""
    with _extra("lab", LAB):
        yield


@contextmanager
def service_libraries() -> Iterator[None]:
    """Do the same for the libraries of `SERVICE`."""
    with _extra("service", SERVICE):
        yield


@contextmanager
def _extra(name: str, libraries: set[str]) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in libraries:
            raise
        raise InputError(f"this command needs {error.name}; pip install 'simdnn[{name}]'") from error
