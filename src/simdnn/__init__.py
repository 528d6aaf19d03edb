"""Sim-DNN: tells the users of an image classifier when an image has been tampered with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simdnn.audit.store import AuditStore
    from simdnn.core.estimator import SimDNN
    from simdnn.errors import SimDNNError
    from simdnn.features.backbones import Backbone, load_backbone
    from simdnn.features.extract import Extractor
    from simdnn.guard.detector import Guard
    from simdnn.guard.explain import Explanation
    from simdnn.guard.verdict import Verdict

__version__ = "0.1.0"

# Where each name lives: loaded on first use, so that `import simdnn` stays quick.
_HOMES = {
    "AuditStore": "simdnn.audit.store",
    "Backbone": "simdnn.features.backbones",
    "Explanation": "simdnn.guard.explain",
    "Extractor": "simdnn.features.extract",
    "Guard": "simdnn.guard.detector",
    "SimDNN": "simdnn.core.estimator",
    "SimDNNError": "simdnn.errors",
    "Verdict": "simdnn.guard.verdict",
    "load_backbone": "simdnn.features.backbones",
}

__all__ = [
    "AuditStore",
    "Backbone",
    "Explanation",
    "Extractor",
    "Guard",
    "SimDNN",
    "SimDNNError",
    "Verdict",
    "load_backbone",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simdnn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
