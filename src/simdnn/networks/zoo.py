"""torchvision's networks, imported without PyTorch's compiler, which takes longer to import than PyTorch itself.

torchvision's operator for detection networks imports one function of the compiler, which it calls when it runs. Until
then another function stands for it, which imports the compiler when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


def _is_compile_supported(device_type: Any) -> Any:
    return import_module(_COMPILER).is_compile_supported(device_type)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Let a module stand for the compiler's within the block, unless that is there already."""
    if _COMPILER in sys.modules or "torchvision" in sys.modules:
        yield
        return
    stand_in: Any = ModuleType(_COMPILER)
    stand_in.is_compile_supported = _is_compile_supported
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        del sys.modules[_COMPILER]


try:
    with _without_compiler():
        import torchvision
except (ImportError, AttributeError):  # another torchvision, which needs more of the compiler
    import torchvision

models = torchvision.models
VERSION: str = torchvision.__version__
