"""Which networks a guard needs, and how it gets them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from torch import nn

from simdnn.errors import InputError, WeightsError
from simdnn.networks.backbone import Backbone, BackboneSpec, restore_backbone
from simdnn.networks.digits import digits_network
from simdnn.networks.loading import is_import_path, network_names

OWN = frozenset({f"{digits_network.__module__}:{digits_network.__name__}"})
"""Networks of this package, made without being trusted by name."""


@dataclass(frozen=True)
class NetworkRecord:
    """A network as the guard file knows it.

    Attributes
    ----------
    spec : how to make it
    weights_hash : SHA-256 of its weights; others are refused
    categories : names of its outputs, where they are known
    weights : where the weights are now, in place of where they were
    given : the network itself, where it was handed over
    trusted : whether the caller allows the factory that ``spec.name`` names to run
    """

    spec: BackboneSpec
    weights_hash: str
    categories: tuple[str, ...] | None
    weights: str | None = None
    given: nn.Module | None = field(default=None, compare=False)
    trusted: bool = False

    @classmethod
    def of(cls, backbone: Backbone) -> Self:
        """Return the record of a network in use; where its weights are is kept so that any folder can start there."""
        spec = backbone.spec
        if spec.weights is not None:
            spec = replace(spec, weights=str(Path(spec.weights).absolute()))
        return cls(spec, backbone.weights_hash, backbone.categories)

    def restore(self) -> Backbone:
        """Make the network again.

        Raises
        ------
        InputError
            If its code is not trusted, or it was handed over when the guard was fitted and is not now.
        WeightsError
            If the weights are missing, or not those the guard was fitted with.
        """
        spec = self.spec if self.weights is None else replace(self.spec, weights=self.weights)
        name = spec.name
        if self.given is None:
            self._check_name()
        if spec.weights is not None and not Path(spec.weights).is_file():
            raise WeightsError(
                f"the guard needs the weights of {name}, expected in {spec.weights}, which is no file; "
                "say where they are now: --weights FILE, or Guard.load(..., weights=[FILE])"
            )
        backbone = restore_backbone(spec, network=self.given)
        if backbone.weights_hash != self.weights_hash:
            raise WeightsError(
                f"the guard was fitted with other weights of {name}: expected SHA-256 {self.weights_hash[:16]}..., "
                f"got {backbone.weights_hash[:16]}...; give the same weights, or fit the guard again"
            )
        return backbone

    def _check_name(self) -> None:
        name = self.spec.name
        if is_import_path(name):
            if name not in OWN and not self.trusted:
                raise InputError(
                    f"the guard needs the network {name!r}, whose code would run; if you trust it, say so: "
                    f"--trust {name}, or Guard.load(..., trust=[{name!r}])"
                )
        elif name not in network_names():
            raise InputError(
                f"the guard needs the network that was handed over as {name!r} when it was fitted; "
                "hand it over again: Guard.load(..., networks=[network])"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into the guard file."""
        return {
            "spec": self.spec.as_dict(),
            "weights_hash": self.weights_hash,
            "categories": None if self.categories is None else list(self.categories),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Undo :meth:`as_dict`; ValueError if a part is no text."""
        spec, categories = BackboneSpec.from_dict(plain["spec"]), plain["categories"]
        texts = [spec.name, spec.weights or "", *spec.layers, plain["weights_hash"], *(categories or ())]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("expected texts for the name, weights, layers and outputs of a network")
        return cls(spec, plain["weights_hash"], None if categories is None else tuple(categories))
