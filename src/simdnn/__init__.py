"""Sim-DNN: detects adversarial attacks on image classifiers, and shows the evidence."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simdnn.audit.store import AuditStore
    from simdnn.errors import SimDNNError
    from simdnn.guard.explanation import Explanation
    from simdnn.guard.guard import Guard
    from simdnn.guard.module import guard_module
    from simdnn.guard.verdict import Verdict
    from simdnn.networks.backbone import Backbone, load_backbone
    from simdnn.networks.extractor import Extractor
    from simdnn.onnx.export import export_onnx
    from simdnn.onnx.guard import load_onnx
    from simdnn.paper.estimator import SimDNN

__version__ = "0.1.0"

# The module of each public name, imported on first use, so that `import simdnn` is fast.
_MODULES = {
    "AuditStore": "simdnn.audit.store",
    "Backbone": "simdnn.networks.backbone",
    "Explanation": "simdnn.guard.explanation",
    "Extractor": "simdnn.networks.extractor",
    "Guard": "simdnn.guard.guard",
    "SimDNN": "simdnn.paper.estimator",
    "SimDNNError": "simdnn.errors",
    "Verdict": "simdnn.guard.verdict",
    "guard_module": "simdnn.guard.module",
    "export_onnx": "simdnn.onnx.export",
    "load_backbone": "simdnn.networks.backbone",
    "load_onnx": "simdnn.onnx.guard",
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
    "export_onnx",
    "guard_module",
    "load_backbone",
    "load_onnx",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'simdnn' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
