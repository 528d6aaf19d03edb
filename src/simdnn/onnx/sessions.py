"""Sessions of ONNX Runtime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from simdnn.errors import InputError, ModelFileError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def threads() -> int:
    """Return the number of threads that a network runs on: OMP_NUM_THREADS, else one per core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) else os.cpu_count() or 1


def session_of(model: bytes, name: str, device: str | None = None) -> InferenceSession:
    """Make a session of a serialised model; ``name`` is for the error.

    Parameters
    ----------
    device : cpu or cuda; default cpu

    Raises
    ------
    InputError
        If ONNX Runtime is not installed, or has no such device.
    ModelFileError
        If the model cannot be loaded.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(f"{name} needs onnxruntime; pip install 'simdnn[onnx]'") from error
    provider = _PROVIDERS.get(device or "cpu")
    if provider not in onnxruntime.get_available_providers():
        raise InputError(
            f"expected a device that this ONNX Runtime has, {' or '.join(_PROVIDERS)}, got {device!r}; for a GPU "
            "install onnxruntime-gpu in place of onnxruntime"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 3  # errors alone; they are raised as well
    try:
        return onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # its exceptions share no base class
        text = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{name} cannot be loaded by ONNX Runtime: {text}; export it again") from error
