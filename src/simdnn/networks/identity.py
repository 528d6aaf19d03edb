"""Library versions and source hashes that determine the features of a network, as plain text."""

from __future__ import annotations

import hashlib
import inspect
import sys
from functools import cache

import PIL
import torch
from torch import nn

from simdnn.networks import zoo

_LIBRARIES = frozenset({"torch", "torchvision"})


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decode images and run networks."""
    return {"torch": torch.__version__, "torchvision": zoo.VERSION, "pillow": PIL.__version__}


def source_hashes(network: nn.Module, *modules: str) -> list[str]:
    """Return the SHA-256 of the source of each module that defines a part of a network.

    Parameters
    ----------
    network
        Counted are the modules of its class and of its layers' classes, except those of PyTorch and torchvision.
    modules
        Names of further modules, such as that of its factory. Their imports are not followed.

    Returns
    -------
    list
        In sorted order, whatever the modules are called; one without a source file, such as a notebook, is left out.
    """
    names = {type(part).__module__ for part in network.modules()} | set(modules)
    hashes = {_source_hash(name) for name in names if name.partition(".")[0] not in _LIBRARIES}
    return sorted(digest for digest in hashes if digest is not None)


@cache
def _source_hash(module: str) -> str | None:
    """Hash a module's source, once: a change of the file does not change code that is imported already."""
    try:
        return hashlib.sha256(inspect.getsource(sys.modules[module]).encode()).hexdigest()
    except (KeyError, OSError, TypeError):
        return None
