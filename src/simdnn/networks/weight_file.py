"""Read the content of a weight file: safetensors, or what ``torch.save`` wrote."""

from __future__ import annotations

import pickle
from pathlib import Path

import safetensors.torch
import torch

from simdnn.errors import WeightsError

_PICKLES = (b"PK", b"\x80")  # a zip of torch.save, or a pickle of older versions


def read_weight_file(path: Path, *, trust_pickle: bool = False) -> object:
    """Read a weight file on the CPU, whatever its suffix.

    Parameters
    ----------
    path
        The file.
    trust_pickle
        Whether code in the file may run. Otherwise only tensors and plain values are read.

    Returns
    -------
    object
        For safetensors, tensors by name; else the object that was saved.

    Raises
    ------
    WeightsError
        If the file does not exist, is damaged or something else, or needs code that is not trusted or not installed.
    """
    if not path.is_file():
        raise WeightsError(
            f"expected a file with network weights, got {path}, which is no file; check the path"
        )
    try:
        with path.open("rb") as file:
            start = file.read(512)
        _check_not_text(path, start)
        if start.startswith(_PICKLES):
            return _unpickled(path, trust_pickle)
        return safetensors.torch.load_file(path)
    except WeightsError:
        raise
    except ModuleNotFoundError as error:
        raise WeightsError(
            f"{path} needs the package {error.name!r}, which is not installed; install it and try again"
        ) from error
    except Exception as error:  # the readers raise almost any type on damaged bytes
        raise WeightsError(
            f"expected network weights in {path}, got a damaged or another file ({type(error).__name__}); fetch it "
            "again, or save the network's state_dict() again"
        ) from error


def _unpickled(path: Path, trust_pickle: bool) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise WeightsError(
                f"expected tensors and plain values in {path}, got other objects or a damaged file; reading it could "
                "run any code: save the network's state_dict() alone, or, if you trust its author, import it as an "
                "auxiliary network with --trust-pickle"
            ) from error
    return torch.load(path, map_location="cpu", weights_only=False)


def _check_not_text(path: Path, start: bytes) -> None:
    """Refuse the text files that a failed download leaves."""
    text = start.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"expected network weights in {path}, got a web page: the download failed, or asked for a confirmation; "
            "open it in a browser to see why, and fetch the file again"
        )
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"expected network weights in {path}, got a pointer of Git LFS; fetch the file itself: git lfs pull"
        )
