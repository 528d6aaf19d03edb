"""The guard: a protected network, what Sim-DNN learned of its features, and a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from simdnn.conformal.drift import DriftMonitor
from simdnn.errors import ImageReadError, InputError
from simdnn.guard.exemplars import exemplar
from simdnn.guard.explanation import Explanation
from simdnn.guard.judge import Judge
from simdnn.guard.settings import Settings
from simdnn.guard.sources import sources_of
from simdnn.guard.state import GuardState
from simdnn.guard.training import check_readable
from simdnn.guard.verdict import Verdict
from simdnn.images.files import find_images
from simdnn.images.names import ClassNames
from simdnn.networks.record import NetworkSource
from simdnn.paper.prototypes import SigmaKind
from simdnn.progress import Progress
from simdnn.rules.registry import default_rule, find_rule
from simdnn.rules.rule import Rule

if TYPE_CHECKING:  # a guard file is read without PyTorch
    import torch
    from torch import Tensor, nn

    from simdnn.guard.judging import Judging
    from simdnn.networks.extractor import Extractor
    from simdnn.networks.image_stream import ImageStream


class Guard(GuardState):
    """Tells clean images from attacked ones for one or several networks.

    Made by :meth:`fit` or :meth:`load`.
    """

    _extractor: Extractor | None = None
    _stream: ImageStream | None = None
    _sources: tuple[NetworkSource, ...] = ()
    _device: torch.device | str | None = None

    @classmethod
    def fit(
        cls,
        data: Path | str,
        extractor: Extractor,
        *,
        rule: str | None = None,
        level: str = "standard",
        alpha: float = 0.05,
        m: float = 3.0,
        sigma: SigmaKind = "shared",
        calibration: float = 0.2,
        calibrate_on: Path | str | None = None,
        shuffle: bool = False,
        seed: int = 0,
        view_seed: int | None = None,
        draws: int | None = None,
        max_unreadable: float = 0.05,
        names: ClassNames | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from a folder of clean images, each of which is read once.

        With a cache of features, a fit that was interrupted goes on where it stopped.

        Parameters
        ----------
        data : folder with one subfolder per class, or a CSV file with the columns path and label
        extractor : the networks that turn images into features, and an auxiliary network for a second opinion
        rule : default ``"profile"``, or ``"profile+opinion"`` with an auxiliary network
        alpha, m, sigma, seed : see :class:`simdnn.guard.settings.Settings`
        level : how many views the profile looks at, see :data:`simdnn.rules.profile.LEVELS`, and how many noisy draws
            the second opinion takes, see :data:`simdnn.rules.registry.DRAWS`
        calibration : share of the images of each class held out of learning to calibrate the threshold
        calibrate_on : folder of other clean images that calibrate in place of that share, or a CSV file with the column
            path: best images that the network was not trained on. Images that are learned, too, are left out.
        shuffle : whether each class is learned in random order instead of its own
        view_seed : of the views, and of the secret that the noisy draws follow from; drawn anew if not given, so that
            no two guards have the same by plan, and to be given in tests alone
        draws : noisy draws of each image, in place of the level's
        max_unreadable : share of the files that may be unreadable before fitting stops
        names : which output of the protected network, and which folder, is which class, as
            :func:`simdnn.images.names.read_names` reads it; default the network's own names for the outputs, else the
            folders' names, in their order
        progress : called with (done, total)

        Raises
        ------
        InputError
            If an option does not fit, the folder has no classes, too many of its files cannot be read, or too few
            are left to calibrate a threshold.
        """
        from simdnn.guard.fitting import Fit, fit_state

        rule = rule or default_rule(second_opinion=extractor.auxiliary is not None)
        settings = Settings(rule, alpha, m, sigma, seed)
        others = None if calibrate_on is None else Path(calibrate_on)
        fit = Fit(
            Path(data), settings, level, calibration, others, view_seed, shuffle, max_unreadable, draws, names
        )
        guard = cls(**vars(fit_state(fit, extractor, progress)))
        guard._extractor = extractor
        return guard

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        weights: Sequence[str | None] = (),
        networks: Sequence[nn.Module | None] = (),
        trust: Sequence[str] = (),
        device: torch.device | str | None = None,
    ) -> Self:
        """Read a guard; its networks are made when the first image arrives.

        Parameters
        ----------
        path : the file
        weights : where the weights of each network are now, the auxiliary network's last, None for where they were or
            beside the guard file; or
            nothing at all
        networks : each network itself where it was handed over to :meth:`fit`, else None; or nothing at all
        trust : import paths ``"package.module:factory"`` that the file may name; to make such a network
            its code must run, so it runs only if the caller says so
        device : where the networks run; default a GPU if there is one

        Raises
        ------
        ModelFileError
            If the file is damaged, of another version or no guard.
        InputError
            If ``weights`` or ``networks`` are not one for each network.
        """
        guard = cls.read(path)
        guard._sources = sources_of(guard, weights, networks, trust, Path(path).absolute().parent)
        guard._device = device
        return guard

    @property
    def extractor(self) -> Extractor:
        """The networks, made on first use as the guard file describes them.

        Raises
        ------
        InputError
            If the guard came from an ONNX file.
        """
        if self._stream is not None:
            raise InputError(
                "expected a guard with its PyTorch networks, got one from an ONNX file, which judges images and no "
                "more; give the guard file that `simdnn fit` wrote"
            )
        if self._extractor is None:
            from simdnn.networks.extractor import Extractor

            sources = self._sources[: len(self.networks)]
            made = [record.restore(source) for record, source in zip(self.networks, sources, strict=True)]
            auxiliary = self.auxiliary.restore(self._sources[-1]) if self.auxiliary else None
            self._extractor = Extractor(made, auxiliary=auxiliary, device=self._device)
        return self._extractor

    @property
    def stream(self) -> ImageStream:
        """What runs images through the networks: `extractor`, unless :meth:`use` set another."""
        return self.extractor if self._stream is None else self._stream

    def use(self, stream: ImageStream) -> None:
        """Judge images by the networks of a stream from now on, in place of PyTorch's."""
        self._stream = stream

    @property
    def classifier(self) -> nn.Module:
        """The protected network: images (N, 3, H, W) in [0, 1] to logits (N, K), differentiable."""
        from simdnn.networks.classifier import Classifier

        return Classifier(self.extractor.backbones[0])

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in sorted order."""
        return self.model.classes

    def rule_named(self, name: str | None) -> Rule:
        """Return one of the rules on what this guard learned; its own if no name is given.

        Raises
        ------
        InputError
            If there is no such rule, or it needs to have learned what this guard did not.
        """
        if name in (None, self.settings.rule):
            return self.rule
        kind = find_rule(name or "")
        if (part := self.rule.part(kind.name)) is not None:
            return part
        if kind.learn is not Rule.learn:
            raise InputError(
                f"this guard has no {name}; fit it with the rule {name!r}, or ask for another rule"
            )
        return kind(self.model, self.calibration)

    def threshold(self, rule: str | None = None, *, alpha: float | None = None) -> float:
        """Return the score below which a rule flags, at its start."""
        return self.judge(rule, alpha).threshold.offset

    def check(
        self,
        images: Path | str | Iterable[Path | str],
        *,
        rule: str | None = None,
        alpha: float | None = None,
        per_class: bool = False,
        certify: int | None = None,
        fresh: bool = False,
        early: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[Verdict]:
        """Judge files, and all images in folders, one verdict each in their order.

        Parameters
        ----------
        images : files and folders
        rule, alpha : in place of those the guard was fitted with
        per_class : calibrate each class on its own, so that the false-alarm rate holds among the images of each label
        certify : give clean images a ``certified_radius`` from so many noisy draws, such as 1000
        fresh : take noise that never comes again, instead of that which follows from the guard's secret and the image:
            the verdict cannot be replayed, and who sends an image again has another try
        early : stop drawing for an image once its verdict is clear; it is then the same, with score and p-value of the
            draws taken
        progress : called with (done, total)

        Raises
        ------
        InputError
            If a path does not exist or there is no image; a file that cannot be read has ``verdict="error"``. Or if a
            class has too few calibration images for ``alpha`` of its own, the rule has no second opinion to certify, or
            it is asked to stop early by a threshold for each class.
        """
        return (v for v, _ in self._checked(images, rule, alpha, per_class, certify, fresh, early, progress))

    def check_with_bytes(
        self,
        images: Path | str | Iterable[Path | str],
        *,
        rule: str | None = None,
        alpha: float | None = None,
        per_class: bool = False,
        certify: int | None = None,
        fresh: bool = False,
        early: bool = False,
        progress: Progress | None = None,
    ) -> Iterator[tuple[Verdict, bytes]]:
        """Judge files as :meth:`check` does, and give with each verdict the bytes that it is about.

        The file may be another by then. The bytes are empty for a file that could not be read.
        """
        return self._checked(images, rule, alpha, per_class, certify, fresh, early, progress, keep_bytes=True)

    def judge(self, rule: str | None = None, alpha: float | None = None, per_class: bool = False) -> Judge:
        """Return what judges a stream of images, with the prototypes as they are now; as :meth:`check`."""
        decides, settings = self.rule_named(rule), self.settings
        threshold = decides.threshold(
            alpha=settings.alpha if alpha is None else alpha, m=settings.m, per_class=per_class
        )
        exemplars = [self.exemplar(prototype.exemplar).name for prototype in self.model.prototypes]
        return Judge(decides, threshold, exemplars, self.networks[0].categories or self.classes)

    def recalibrate(
        self,
        data: Path | str,
        *,
        alpha: float | None = None,
        add: bool = False,
        max_unreadable: float = 0.05,
        progress: Progress | None = None,
    ) -> Self:
        """Return a guard with another threshold, set by other clean images, of a new camera for instance.

        One pass over the images; prototypes and rule stay as they are.

        Parameters
        ----------
        data : folder of clean images, subfolders included, or a CSV file with the column path
        alpha : false-alarm rate to promise, in place of this guard's
        add : whether the images that calibrate this guard go on to do so
        max_unreadable : share of the files that may be unreadable
        progress : called with (done, total)

        Raises
        ------
        InputError
            If there are no images, too many cannot be read, or too few are left for alpha.
        """
        from simdnn.guard.calibration_images import images_without_labels
        from simdnn.guard.known import learned_hashes
        from simdnn.guard.recalibrate import Recalibration, recalibrated

        images = images_without_labels(Path(data))
        asked = Recalibration(str(data), images, alpha, add, max_unreadable)
        learned = learned_hashes(self.extractor.auxiliary)
        guard = replace(self, **recalibrated(self, asked, self.extractor, learned, progress))
        guard._extractor, guard._sources, guard._device = self._extractor, self._sources, self._device
        return guard

    def drift_monitor(self, rule: str | None = None, *, delta: float = 0.01) -> DriftMonitor:
        """Return a monitor for the scores of a stream of verdicts, calibrated on uncorrupted images only."""
        scores = self.rule_named(rule).calibration_scores()
        return DriftMonitor(scores[self.calibration.clean], delta=delta)

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
        judging = self._judging(self.judge(rule, alpha))
        return [verdict for verdict, _ in judging.verdicts(list(images), names)]

    def explain(
        self,
        image: Path | str | Tensor,
        *,
        rule: str | None = None,
        alpha: float | None = None,
        certify: int | None = None,
    ) -> Explanation:
        """Judge one image, and show what the verdict rests on.

        Parameters
        ----------
        image : a file, or (3, H, W) in [0, 1]
        rule, alpha, certify : as for :meth:`check`

        Raises
        ------
        ImageReadError
            If the file cannot be read.
        InputError
            If the rule has no second opinion to certify with.
        """
        return Explanation.of(self, self._judging(self.judge(rule, alpha), certify), image)

    def add_prototype(self, label: str, image: Path | str) -> str:
        """Make an image a prototype of a class, known or new; return its id. ImageReadError if it cannot be read."""
        from simdnn.guard.calibration_images import image_numbers

        found = self.extractor.extract([image])
        if found.errors:
            raise ImageReadError(f"{image}: {found.errors[0]}")
        check_readable([Path(image)], [label], found, 0.0)
        index = max(self.exemplars, default=-1) + 1
        (features,) = self.model.scaling(found.features)
        added = self.model.prototypes.add(label, features, exemplar=index)
        self.exemplars[index] = exemplar(Path(image), Path(image).name)
        self.learned = np.append(self.learned, image_numbers(found.image_sha256))
        return added

    def _checked(
        self,
        images: Path | str | Iterable[Path | str],
        rule: str | None,
        alpha: float | None,
        per_class: bool,
        certify: int | None,
        fresh: bool,
        early: bool,
        progress: Progress | None,
        keep_bytes: bool = False,
    ) -> Iterator[tuple[Verdict, bytes]]:
        if early and per_class:
            raise InputError("expected one threshold for all classes to stop early by; leave out one of both")
        given = [images] if isinstance(images, (str, Path)) else images
        paths = find_images([Path(path) for path in given])
        judging = self._judging(self.judge(rule, alpha, per_class), certify, fresh=fresh, early=early)
        return judging.verdicts(paths, [str(path) for path in paths], progress, keep_bytes)

    def _judging(
        self, judge: Judge, certify: int | None = None, *, fresh: bool = False, early: bool = False
    ) -> Judging:
        from simdnn.guard.judging import Judging

        return Judging.of(self.stream, judge, self.draws(judge.rule), certify, fresh=fresh, early=early)
