"""Which network a guard needs, and how it gets it back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from simdnn.errors import InputError, WeightsError
from simdnn.networks.spec import BackboneSpec

if TYPE_CHECKING:
    from torch import nn

    from simdnn.networks.backbone import Backbone

OWN = frozenset({"simdnn.networks.digits:digits_network"})
"""Networks of this package, made without being trusted by name."""


_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar"})
"""Of files beside a guard that may hold its weights."""


@dataclass(frozen=True)
class NetworkSource:
    """Where a guard's network comes from, if not from where it was when the guard was fitted.

    Attributes
    ----------
    weights : where the weights are now
    network : the network itself, where it was handed over
    trusted : whether the caller allows the factory that the guard names to run
    folder : where the guard's file is; weights that are not where they were are looked for there, too
    """

    weights: str | None = None
    network: nn.Module | None = None
    trusted: bool = False
    folder: Path | None = None


@dataclass(frozen=True)
class NetworkRecord:
    """A network as the guard file knows it.

    Attributes
    ----------
    spec : how to make it
    weights_hash : SHA-256 of its weights; others are refused
    categories : names of its outputs, where they are known
    """

    spec: BackboneSpec
    weights_hash: str
    categories: tuple[str, ...] | None

    @classmethod
    def of(cls, backbone: Backbone) -> Self:
        """Return the record of a network in use; where its weights are is kept so that any folder can start there."""
        spec = backbone.spec
        if spec.weights is not None:
            spec = replace(spec, weights=str(Path(spec.weights).absolute()))
        return cls(spec, backbone.weights_hash, backbone.categories)

    def restore(self, source: NetworkSource) -> Backbone:
        """Make the network again.

        Raises
        ------
        InputError
            If its code is not trusted, or it was handed over when the guard was fitted and is not now.
        WeightsError
            If the weights are missing, or not those the guard was fitted with.
        """
        from simdnn.networks.backbone import restore_backbone
        from simdnn.networks.weights import hash_weights

        if source.network is not None and hash_weights(source.network) == self.weights_hash:
            return restore_backbone(replace(self.spec, weights=None), network=source.network)
        spec = self.spec if source.weights is None else replace(self.spec, weights=source.weights)
        name = spec.name
        if source.network is None:
            self._check_name(source.trusted)
        if spec.weights is not None and not Path(spec.weights).is_file():
            found = None if source.weights else self._beside(source)
            if found is None:
                raise WeightsError(
                    f"the guard needs the weights of {name}, expected in {spec.weights}, which is no file; say where "
                    "they are now: --weights FILE, or Guard.load(..., weights=[FILE]), or put them beside the guard's "
                    "file"
                )
            return found
        backbone = restore_backbone(spec, network=source.network)
        if backbone.weights_hash != self.weights_hash:
            raise WeightsError(
                f"the guard was fitted with other weights of {name}: expected SHA-256 {self.weights_hash[:16]}..., "
                f"got {backbone.weights_hash[:16]}...; give the same weights, or fit the guard again"
            )
        return backbone

    def _beside(self, source: NetworkSource) -> Backbone | None:
        """Make the network of a file beside the guard's, first of the same name, that has the right weights."""
        from simdnn.networks.backbone import restore_backbone

        folder = source.folder
        if folder is None or self.spec.weights is None:
            return None
        name = Path(self.spec.weights).name
        try:
            files = [file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file()]
        except OSError:
            return None
        for file in sorted(files, key=lambda file: (file.name != name, file.name)):
            try:
                made = restore_backbone(replace(self.spec, weights=str(file)), network=source.network)
            except WeightsError:  # those of another network
                continue
            if made.weights_hash == self.weights_hash:
                return made
        return None

    def _check_name(self, trusted: bool) -> None:
        from simdnn.networks.loading import is_import_path, network_names

        name = self.spec.name
        if is_import_path(name):
            if name not in OWN and not trusted:
                raise InputError(
                    f"the guard needs the network {name!r}, whose code would run; if you trust it, say so: "
                    f"--trust {name}, or Guard.load(..., trust=[{name!r}])"
                )
        elif name not in network_names():
            raise InputError(
                f"the guard needs the network that was handed over as {name!r} when it was fitted; "
                "hand it over again: Guard.load(..., networks=[network])"
            )
