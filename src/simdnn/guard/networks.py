"""Which networks a guard needs, and how it gets them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from torch import nn

from simdnn.errors import InputError, WeightsError
from simdnn.features.backbones import Backbone, BackboneSpec, restore_backbone

OWN = "simdnn."
"""Networks of this package may be made without being trusted by name."""


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
        """Return the record of a network in use."""
        return cls(backbone.spec, backbone.weights_hash, backbone.categories)

    def restore(self) -> Backbone:
        """Make the network again.

        Raises
        ------
        InputError
            If its code is not trusted.
        WeightsError
            If the weights are missing, or not those the guard was fitted with.
        """
        name = self.spec.name
        if ":" in name and not (name.startswith(OWN) or self.trusted or self.given):
            raise InputError(
                f"the guard needs the network {name!r}, whose code would run; "
                f"if you trust it, say so with --trust {name}"
            )
        spec = self.spec if self.weights is None else replace(self.spec, weights=self.weights)
        backbone = restore_backbone(spec, network=self.given)
        if backbone.weights_hash != self.weights_hash:
            raise WeightsError(
                f"the guard was fitted with other weights of {name}: expected SHA-256 {self.weights_hash[:16]}..., "
                f"got {backbone.weights_hash[:16]}...; give the same weights, or fit the guard again"
            )
        return backbone

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into the guard file."""
        return {
            "spec": self.spec.as_dict(),
            "weights_hash": self.weights_hash,
            "categories": None if self.categories is None else list(self.categories),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Undo :meth:`as_dict`."""
        categories = plain["categories"]
        return cls(
            BackboneSpec.from_dict(plain["spec"]),
            str(plain["weights_hash"]),
            None if categories is None else tuple(categories),
        )
