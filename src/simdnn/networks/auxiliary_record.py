"""Which auxiliary network a guard needs, the secret of its draws, and how it gets the network back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from simdnn.errors import InputError, WeightsError
from simdnn.networks.record import NetworkSource

if TYPE_CHECKING:
    from simdnn.networks.auxiliary import AuxiliaryNetwork
    from simdnn.networks.draws import Draws

MOST_DRAWS = 1_000_000
_HEX = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class AuxiliaryRecord:
    """An auxiliary network as the guard file knows it.

    Attributes
    ----------
    file : where it was; None for one that was handed over
    identity : of its weights, noise, side, classes and normalisation, see
        :attr:`simdnn.networks.auxiliary.AuxiliaryNetwork.identity`; another is refused
    classes : names of its outputs
    secret : 256 bits in hexadecimal, which the draws follow from; whoever has it can foretell them
    draws : of each image

    Raises
    ------
    ValueError
        If a value does not fit.
    """

    file: str | None
    identity: str
    classes: tuple[str, ...]
    secret: str = field(repr=False)
    draws: int

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.secret) or not 1 <= self.draws <= MOST_DRAWS:
            raise ValueError(f"expected a secret of 256 bits, and 1 to {MOST_DRAWS} draws")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("expected the names of at least two different outputs")

    @classmethod
    def of(cls, network: AuxiliaryNetwork, draws: Draws) -> Self:
        """Return the record of a network in use."""
        file = None if network.file is None else str(network.file.absolute())
        return cls(file, network.identity, network.spec.classes, draws.secret.hex(), draws.n)

    @property
    def all_draws(self) -> Draws:
        """The draws of each image."""
        from simdnn.networks.draws import Draws

        return Draws(bytes.fromhex(self.secret), self.draws)

    def _found(self, folder: Path | None) -> str | None:
        """Return the file: where it was or, if it is there no more, that of its name beside the guard's."""
        if self.file is None or folder is None or Path(self.file).is_file():
            return self.file
        beside = folder / Path(self.file).name
        return str(beside) if beside.is_file() else self.file

    def restore(self, source: NetworkSource) -> AuxiliaryNetwork:
        """Read the network again, from where it was or from beside the guard's file.

        Raises
        ------
        InputError
            If it was handed over when the guard was fitted, and is not now.
        WeightsError
            If the file is missing, or is not the network that the guard was fitted with.
        """
        from simdnn.networks.auxiliary import AuxiliaryNetwork, read_auxiliary

        network = source.network
        where = source.weights or self._found(source.folder)
        if not isinstance(network, AuxiliaryNetwork):
            if where is None:
                raise InputError(
                    "the guard needs the auxiliary network that was handed over when it was fitted; hand it over "
                    "again: Guard.load(..., networks=[None, auxiliary])"
                )
            if not Path(where).is_file():
                raise WeightsError(
                    f"the guard needs its auxiliary network, expected in {where}, which is no file; say where it is "
                    "now, after the protected network's weights: --weights FILE --weights FILE"
                )
            network = read_auxiliary(Path(where))
        if network.identity != self.identity:
            raise WeightsError(
                f"the guard was fitted with another auxiliary network than {where or 'the one handed over'}; "
                "give the same, or fit the guard again"
            )
        return network
