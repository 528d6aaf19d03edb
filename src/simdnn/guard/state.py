"""All that a guard knows, and the file that it is kept in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray

from simdnn.arrays import IntArray
from simdnn.errors import ModelFileError, SimDNNError
from simdnn.guard import file as guard_file
from simdnn.guard.arrays import (
    check_arrays,
    check_votes,
    pack_calibration,
    pack_model,
    unpack_calibration,
    unpack_model,
)
from simdnn.guard.exemplars import Exemplar, pack, unpack
from simdnn.guard.header import Header
from simdnn.guard.settings import Settings
from simdnn.guard.training import Training
from simdnn.networks.auxiliary_record import AuxiliaryRecord
from simdnn.networks.record import NetworkRecord
from simdnn.paper.model import SimilarityModel
from simdnn.rules.calibration import CalibrationSet
from simdnn.rules.registry import find_rule
from simdnn.rules.rule import Rule

if TYPE_CHECKING:  # a guard file is read without PyTorch
    from simdnn.networks.draws import Draws

_RULE = "rule_"
"""Before the names of arrays that a rule learned."""


@dataclass
class GuardState:
    """All that a guard knows.

    Attributes
    ----------
    networks : the networks whose features it compares; the first is the protected classifier
    auxiliary : the auxiliary network and the secret of its draws; None without one
    settings : how it decides
    model : prototypes; edit ``model.prototypes`` and the guard follows
    calibration : the images that set the threshold
    learned : (L,) numbers of the images it learned, which must not calibrate it, see
        :func:`simdnn.guard.calibration_images.image_numbers`
    rule : its own rule
    exemplars : the training image behind each prototype, by index
    training : what it was fitted on
    """

    networks: tuple[NetworkRecord, ...]
    auxiliary: AuxiliaryRecord | None
    settings: Settings
    model: SimilarityModel
    calibration: CalibrationSet
    learned: IntArray
    rule: Rule
    exemplars: dict[int, Exemplar]
    training: Training

    @property
    def model_id(self) -> str:
        """Sixteen hexadecimal digits that change with anything the guard knows.

        They are the first of the SHA-256 of the file that :meth:`save` writes.
        """
        return sha256(self.encode()).hexdigest()[:16]

    def encode(self) -> bytes:
        """Return the bytes of the file that :meth:`save` writes."""
        return guard_file.encode(*self._pack())

    def exemplar(self, index: int) -> Exemplar:
        """Return the training image of that index as it is shown."""
        return self.exemplars.get(index, Exemplar("none"))

    def draws(self, rule: Rule) -> Draws | None:
        """Return the noise that a rule looks at, which follows from the guard's secret; None for one without any."""
        return self.auxiliary.all_draws if rule.uses_auxiliary and self.auxiliary is not None else None

    def save(self, path: Path | str) -> None:
        """Write the guard into one file, whole or not at all."""
        guard_file.write(Path(path), *self._pack())

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a guard file; ModelFileError if it is damaged, of another version or no guard."""
        return cls.decode(guard_file.content_of(Path(path)), str(path))

    @classmethod
    def decode(cls, raw: bytes, name: str) -> Self:
        """Make a guard of a guard file's bytes; errors as of :meth:`read`, with the file's ``name``."""
        plain, arrays = guard_file.decode(raw, name)
        try:
            return cls._unpack(plain, arrays)
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
            SimDNNError,
        ) as error:
            raise ModelFileError(f"{name} lacks what a guard needs: {error!r}; fit it again") from error

    def _pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        used = {prototype.exemplar for prototype in self.model.prototypes}
        names, thumbnails = pack({i: shown for i, shown in self.exemplars.items() if i in used})
        rule, learned = self.rule.state()
        header = Header(
            networks=self.networks,
            auxiliary=self.auxiliary,
            settings=self.settings,
            training=self.training,
            classes=tuple(self.model.prototypes.classes),
            exemplars=names,
            corruption=self.calibration.corruption,
            image_sha256=self.calibration.image_sha256,
            views=self.rule.views,
            rule=rule,
        )
        arrays = pack_model(self.model) | pack_calibration(self.calibration) | thumbnails
        arrays["learned_images"] = self.learned
        return header.as_dict(), arrays | {_RULE + name: array for name, array in learned.items()}

    @classmethod
    def _unpack(cls, plain: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        header = Header.from_dict(plain)
        check_arrays(
            arrays,
            classes=len(header.classes),
            calibration=len(header.corruption),
            views=bool(header.views),
        )
        check_votes(arrays["calibration_votes"], header.auxiliary)
        if len(arrays["learned_images"]) < header.training.learned:
            raise ValueError(f"expected learned_images of {header.training.learned} images")
        model = unpack_model(header.classes, arrays, header.settings.sigma)
        calibration = unpack_calibration(arrays, header.corruption, header.image_sha256)
        learned = {
            name.removeprefix(_RULE): array for name, array in arrays.items() if name.startswith(_RULE)
        }
        rule = find_rule(header.settings.rule)(model, calibration, header.views)
        return cls(
            networks=header.networks,
            auxiliary=header.auxiliary,
            settings=header.settings,
            model=model,
            calibration=calibration,
            learned=arrays["learned_images"],
            rule=rule.restore(header.rule, learned),
            exemplars=unpack(header.exemplars, arrays["thumbnails"], arrays["thumbnail_ends"].tolist()),
            training=header.training,
        )
