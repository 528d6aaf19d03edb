"""The guard: a protected network, what Sim-DNN learned of its features, and a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import randbits
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler
from torch import Tensor, nn

from simdnn.conformal.drift import DriftMonitor
from simdnn.errors import ImageReadError, InputError, ModelFileError, SimDNNError
from simdnn.guard import file as guard_file
from simdnn.guard.exemplars import Exemplar, exemplar, pack, unpack
from simdnn.guard.explanation import Explanation
from simdnn.guard.judge import Bench
from simdnn.guard.state import pack_model, pack_scaler, unpack_model, unpack_scaler
from simdnn.guard.training import Training, calibrating, check_readable
from simdnn.guard.verdict import Verdict
from simdnn.images.files import find_images, labelled_images
from simdnn.networks.classifier import Classifier
from simdnn.networks.extractor import Extractor
from simdnn.networks.record import NetworkRecord
from simdnn.paper.estimator import SimDNN
from simdnn.progress import Progress
from simdnn.rules.auxiliary import Answers
from simdnn.rules.profile import GuardProfile, draw_views, learn_profile


class Guard:
    """Tells clean images from attacked ones for one or several networks.

    Made by :meth:`fit` or :meth:`load`.

    Attributes
    ----------
    networks : the networks whose features it compares; the first is the protected classifier, and in a hardened guard
        the last is the witness
    scaler : brings every feature to [0, 1], line 2 of the paper's procedure
    model : prototypes and threshold; edit ``model.prototypes_`` and the guard follows
    exemplars : the training image behind each prototype, by index
    profile : views and clean profiles of the rule ``"profile"``; None where it was fitted by another
    training : what it was fitted on
    """

    def __init__(
        self,
        networks: Sequence[NetworkRecord],
        scaler: MinMaxScaler,
        model: SimDNN,
        exemplars: dict[int, Exemplar],
        training: Training,
        profile: GuardProfile | None = None,
        extractor: Extractor | None = None,
    ) -> None:
        self.networks = tuple(networks)
        self.scaler = scaler
        self.model = model
        self.exemplars = exemplars
        self.training = training
        self.profile = profile
        self._extractor = extractor

    @classmethod
    def fit(
        cls,
        data: Path | str,
        extractor: Extractor,
        *,
        rule: str = "profile",
        level: str = "standard",
        alpha: float = 0.05,
        calibration: float = 0.2,
        seed: int = 0,
        secret: int | None = None,
        max_unreadable: float = 0.05,
        progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Learn from a folder of clean images.

        Parameters
        ----------
        data : folder with one subfolder per class, or a CSV file with the columns path and label
        extractor : the networks that turn images into features, and the witness that makes a profile hardened
        rule : ``"profile"``, or one of :class:`simdnn.paper.estimator.SimDNN`
        level : how many views the profile looks at, see :data:`simdnn.rules.profile.LEVELS`
        alpha, calibration : see :class:`simdnn.paper.estimator.SimDNN`
        seed : of every draw but one
        secret : seed of the views; drawn anew if not given, so that no two guards have the same by plan
        max_unreadable : share of the files that may be unreadable before fitting stops
        progress : called with (done, total)
        parameters : further ones of :class:`simdnn.paper.estimator.SimDNN`

        Raises
        ------
        InputError
            If an option does not fit, the folder has no classes, too many of its files cannot be read, or too few
            are left to calibrate a threshold.
        """
        if extractor.witness and rule != "profile":
            raise InputError(f"a witness speaks in the rule 'profile' only; got the rule {rule!r}")
        own = "similarity" if rule == "profile" else rule
        model = SimDNN(rule=own, alpha=alpha, calibration=calibration, random_state=seed, **parameters)
        model.check_parameters()  # before the hours that extraction may take
        views = draw_views(level, randbits(64) if secret is None else secret)
        paths, labels = labelled_images(Path(data))
        found = extractor.extract(paths, progress)
        check_readable(paths, labels, found, max_unreadable)
        files = [paths[i] for i in found.index]
        names = np.array([labels[i] for i in found.index])
        out = calibrating(names, calibration, seed)

        scaler = MinMaxScaler().fit(found.features[~out])
        scaled = scaler.transform(found.features)
        model.calibration = 0.0  # what is held out is held out already
        model.fit(scaled[~out], names[~out])
        if out.any():
            model.calibrate(scaled[out], names[out])
        learned = [file for file, is_out in zip(files, out, strict=True) if not is_out]
        profile = None
        if rule == "profile":
            profile = learn_profile(
                extractor,
                model,
                scaler,
                calibrating=[file for file, is_out in zip(files, out, strict=True) if is_out],
                learned=learned,
                labels=names[~out],
                said=Answers(found.logits[~out].argmax(axis=1), found.witness_logits[~out]),
                views=views,
                seed=seed,
                progress=progress,
            )
        training = Training(
            data=str(data),
            learned=len(learned),
            calibrated=int(out.sum()),
            unreadable=tuple(str(paths[i]) for i in found.errors),
            seed=seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        shown = {
            p.exemplar: exemplar(learned[p.exemplar], learned[p.exemplar].name) for p in model.prototypes_
        }
        networks = [*extractor.backbones, extractor.witness] if extractor.witness else extractor.backbones
        records = [NetworkRecord.of(backbone) for backbone in networks]
        guard = cls(records, scaler, model, shown, training, profile, extractor)
        guard.threshold()  # a guard that has none would be of no use
        return guard

    @property
    def extractor(self) -> Extractor:
        """The networks, made on first use as the guard file describes them."""
        if self._extractor is None:
            networks = [record.restore() for record in self.networks]
            witness = networks.pop() if self.profile and self.profile.witness else None
            self._extractor = Extractor(networks, witness=witness)
        return self._extractor

    @property
    def classifier(self) -> nn.Module:
        """The protected network: images (N, 3, H, W) in [0, 1] to logits (N, K), differentiable."""
        return Classifier(self.extractor.backbones[0])

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in sorted order."""
        return tuple(str(label) for label in self.model.classes_)

    @property
    def model_id(self) -> str:
        """Sixteen hexadecimal digits that change with anything the guard knows.

        They are the first of the SHA-256 of the file that :meth:`save` writes.
        """
        return sha256(guard_file.encode(*self._pack())).hexdigest()[:16]

    def check(
        self,
        images: Path | str | Iterable[Path | str],
        *,
        rule: str | None = None,
        alpha: float | None = None,
        per_class: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Verdict]:
        """Judge files, and all images in folders, one verdict each in their order.

        Parameters
        ----------
        images : files and folders
        rule, alpha : in place of those the guard was fitted with
        per_class : calibrate each class on its own, so that the false-alarm rate holds among the images of each label
        progress : called with (done, total)

        Raises
        ------
        InputError
            If a path does not exist or there is no image; a file that cannot be read has ``verdict="error"``. Or if a
            class has too few calibration images for ``alpha`` of its own.
        """
        given = [images] if isinstance(images, (str, Path)) else images
        paths = find_images([Path(path) for path in given])
        bench = self._bench(rule, alpha, per_class)
        return self._judge(paths, [str(path) for path in paths], bench, progress)

    def drift_monitor(self, rule: str | None = None, *, delta: float = 0.01) -> DriftMonitor:
        """Return a monitor for the scores of a stream of verdicts, calibrated on unchanged images only."""
        scores = self._bench(rule, None).calibration_scores
        return DriftMonitor(scores[: len(self.model.calibration_samples_)], delta=delta)

    def check_tensors(
        self,
        images: Tensor,
        names: Sequence[str] | None = None,
        *,
        rule: str | None = None,
        alpha: float | None = None,
    ) -> list[Verdict]:
        """Judge (N, 3, H, W) images in [0, 1] at the network's own size, as floats; ``names`` default to indices."""
        names = [str(i) for i in range(len(images))] if names is None else names
        if len(names) != len(images):
            raise InputError(f"expected a name for each of the {len(images)} images, got {len(names)}")
        return list(self._judge(list(images), names, self._bench(rule, alpha)))

    def explain(
        self, image: Path | str | Tensor, *, rule: str | None = None, alpha: float | None = None
    ) -> Explanation:
        """Judge one image, a file or (3, H, W) in [0, 1], and show what the verdict rests on.

        Raises
        ------
        ImageReadError
            If the file cannot be read.
        """
        bench = self._bench(rule, alpha)
        batch = next(self.extractor.stream([image], views=bench.views, pixels=True))
        if batch.pixels is None:
            raise ImageReadError(f"{image}: {batch.errors[0]}")
        name = "image" if isinstance(image, Tensor) else str(image)
        (verdict,) = bench(batch, [name])
        if verdict.verdict == "error":
            raise ImageReadError(f"{name}: {verdict.error}")
        rows = [self.model.prototypes_[neighbour.prototype].exemplar for neighbour in verdict.evidence]
        return Explanation(
            verdict=verdict,
            image=batch.pixels[0].permute(1, 2, 0).numpy(),
            exemplars=tuple(self.exemplar(row) for row in rows),
            calibration_scores=np.sort(bench.calibration_scores),
            shortfalls=bench.shortfalls(batch),
        )

    def exemplar(self, index: int) -> Exemplar:
        """Return the training image of that index as it is shown."""
        return self.exemplars.get(index, Exemplar("none"))

    def add_prototype(self, label: str, image: Path | str) -> str:
        """Make an image, by hand, a prototype of a class, known or new; return its id.

        Raises
        ------
        ImageReadError
            If the file cannot be read.
        """
        extraction = self.extractor.extract([image])
        if extraction.errors:
            raise ImageReadError(f"{image}: {extraction.errors[0]}")
        check_readable([Path(image)], [label], extraction, 0.0)
        index = max(self.exemplars, default=-1) + 1
        (features,) = self.scaler.transform(extraction.features)
        added = self.model.prototypes_.add(label, features, exemplar=index)
        self.exemplars[index] = exemplar(Path(image), Path(image).name)
        return added

    def save(self, path: Path | str) -> None:
        """Write the guard into one file, whole or not at all."""
        guard_file.write(Path(path), *self._pack())

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        weights: Sequence[str | None] = (),
        networks: Sequence[nn.Module | None] = (),
        trust: Sequence[str] = (),
    ) -> Self:
        """Read a guard; its networks are made when the first image arrives.

        Parameters
        ----------
        path : the file
        weights : where the weights of each network are now, None for where they were; or nothing at all
        networks : each network itself where it was handed over to :meth:`fit`, else None; or nothing at all
        trust : import paths ``"package.module:factory"`` that the file may name; to make such a network
            its code must run, so it runs only if the caller says so

        Raises
        ------
        ModelFileError
            If the file is damaged, newer than this version or no guard.
        InputError
            If ``weights`` or ``networks`` are not one for each network.
        """
        header, tensors = guard_file.read(Path(path))
        try:
            records = [NetworkRecord.from_dict(plain) for plain in header["networks"]]
            guard = cls(
                records,
                unpack_scaler(tensors),
                unpack_model(header["model"], tensors),
                unpack(header["exemplars"], tensors["thumbnails"], tensors["thumbnail_ends"].tolist()),
                Training.from_dict(header["training"]),
                GuardProfile.unpack(header["profile"], tensors) if header["profile"] else None,
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
            SimDNNError,
        ) as error:
            raise ModelFileError(f"{path} lacks what a guard needs: {error!r}; fit it again") from error
        if len(records) < (2 if guard.profile and guard.profile.witness else 1):
            raise ModelFileError(f"{path} lacks what a guard needs: a network; fit it again")
        for name, values in (("weights", weights), ("networks", networks)):
            if len(values) not in (0, len(records)):
                raise InputError(
                    f"expected {name} once for each of the guard's networks, {len(records)} in all, "
                    f"or none at all; got {len(values)}"
                )
        guard.networks = tuple(
            replace(record, given=given, weights=where, trusted=record.spec.name in list(trust))
            for record, given, where in zip(
                records, networks or [None] * len(records), weights or [None] * len(records), strict=True
            )
        )
        return guard

    def _pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        used = {prototype.exemplar for prototype in self.model.prototypes_}
        model, arrays = pack_model(self.model)
        names, thumbnails = pack({i: shown for i, shown in self.exemplars.items() if i in used})
        header: dict[str, Any] = {
            "networks": [record.as_dict() for record in self.networks],
            "training": asdict(self.training),
            "model": model,
            "exemplars": names,
        }
        more: dict[str, NDArray[Any]] = {}
        header["profile"] = None
        if self.profile:
            header["profile"], more = self.profile.pack()
        return header, arrays | thumbnails | pack_scaler(self.scaler) | more

    def _judge(
        self,
        images: Sequence[Path | Tensor],
        names: Sequence[str],
        bench: Bench,
        progress: Progress | None = None,
    ) -> Iterator[Verdict]:
        done = 0
        for batch in self.extractor.stream(images, views=bench.views):
            yield from bench(batch, names)
            done += len(batch.positions) + len(batch.errors)
            if progress is not None:
                progress(done, len(images))

    @property
    def rule(self) -> str:
        """The rule that decides unless another is asked for."""
        return "profile" if self.profile else self.model.rule

    def threshold(self, rule: str | None = None, *, alpha: float | None = None) -> float:
        """Return the score below which a rule flags, at its start."""
        return self._bench(rule, alpha).threshold.offset

    def _bench(self, rule: str | None, alpha: float | None, per_class: bool = False) -> Bench:
        rule = rule or self.rule
        if rule == "profile" and self.profile is None:
            raise InputError(
                "this guard has no profile; fit it with the rule 'profile', or ask for another rule"
            )
        profile = self.profile if rule == "profile" else None
        return Bench(
            self.model,
            self.scaler,
            self._exemplar_names(),
            self._categories(),
            profile,
            rule,
            alpha,
            per_class,
        )

    def _exemplar_names(self) -> list[str]:
        return [self.exemplar(prototype.exemplar).name for prototype in self.model.prototypes_]

    def _categories(self) -> tuple[str, ...]:
        return self.networks[0].categories or self.classes
