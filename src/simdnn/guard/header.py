"""The text part of a guard file, field by field: nothing that comes back is believed before it is checked here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from simdnn.guard.settings import Settings
from simdnn.guard.training import Training
from simdnn.images.shifts import Shift
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.record import NetworkRecord


@dataclass(frozen=True)
class Header:
    """What a guard file holds besides arrays.

    Attributes
    ----------
    networks : the networks whose features it compares; the first is the protected one
    auxiliary : the auxiliary network and the secret of its draws, where there is one
    settings, training : how it decides, what it was fitted on
    classes : labels, in the order of their prototypes
    exemplars : name of the training image behind each prototype, by its index
    corruption, image_sha256 : of each calibration image
    views : of the rule
    rule : what the rule learned
    """

    networks: tuple[NetworkRecord, ...]
    auxiliary: AuxiliaryRecord | None
    settings: Settings
    training: Training
    classes: tuple[str, ...]
    exemplars: dict[str, str]
    corruption: tuple[str, ...]
    image_sha256: tuple[str, ...]
    views: tuple[Shift, ...]
    rule: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.networks:
            raise ValueError("expected at least one network")
        if len(set(self.classes)) != len(self.classes) or not all(map(_is_name, self.classes)):
            raise ValueError("the classes are not different names")
        if len(self.corruption) != len(self.image_sha256):
            raise ValueError("the calibration images lack hashes or corruptions")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Header:
        """Undo :meth:`as_dict`, also after a journey through JSON; ValueError if a field is missing or does not fit."""
        try:
            made = msgspec.convert(dict(plain), cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        if made.as_dict() != plain:
            raise ValueError("a field is missing, or one that does not belong there")
        return made


def _is_name(label: str) -> bool:
    return bool(label) and not label.endswith("\x00")  # NumPy drops trailing NULs
