"""The profile rule of a guard: its views, and what they say of clean images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle
from math import isfinite
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.preprocessing import MinMaxScaler
from torch import Generator

from simdnn.arrays import FloatArray
from simdnn.errors import InputError
from simdnn.guard.state import check_array
from simdnn.images.corruptions import CHANGES, apply
from simdnn.images.reading import read_image
from simdnn.images.shifts import View
from simdnn.networks.extractor import Batch, Extraction, Extractor
from simdnn.paper.estimator import SimDNN
from simdnn.progress import Progress
from simdnn.rules.auxiliary import Answers, Witness
from simdnn.rules.statistics import SOURCES, SimilarityProfile, compare_views

LEVELS = {"light": 1, "standard": 2, "full": 4}
"""Views at each level; an image costs one pass of the network more for each."""

SHAPES = {
    "profile_scale": "p",
    "profile_lines": "ls",
    "profile_calibration": "kv",
    "profile_hardening": "hv",
    "profile_hardening_samples": "hn",
}
"""Sides of each array in the guard file: p = 2, l = 3, s sources, k and h images, v = 6, n features."""

LARGEST = 1e12
"""No logarithm, slope or scaled feature comes near it."""

LEARNED = 1000
"""Images, at most, from which clean profiles are learned."""


@dataclass(frozen=True)
class GuardProfile:
    """What the rule ``"profile"`` of a guard needs.

    Attributes
    ----------
    views : harmless changes, drawn for this guard alone; whoever knows them can tune an attack to them
    clean : what clean images' profiles look like
    calibration : (n, 6) what the views say of each calibration image, in their order
    hardening : (m, 6) the same for calibration images that were changed harmlessly; m may be 0
    hardening_samples : (m, d) their features
    witness : in a hardened guard, the second network's part
    """

    views: tuple[View, ...]
    clean: SimilarityProfile
    calibration: FloatArray
    hardening: FloatArray
    hardening_samples: NDArray[np.float32]
    witness: Witness | None = None

    def shortfalls(self, batch: Batch, model: SimDNN, similarities: FloatArray) -> FloatArray:
        """Return what each image of a batch lacks, (N, s); ``similarities`` (N, M) to all prototypes of the model."""
        said = answers(batch) if self.witness else None
        return self.clean.shortfalls(compared(batch), *self._sources(model, similarities, said))

    def score(self, batch: Batch, model: SimDNN, similarities: FloatArray) -> FloatArray:
        """Score the images of a batch: (N,); as `shortfalls`."""
        said = answers(batch) if self.witness else None
        return self.clean.score(compared(batch), *self._sources(model, similarities, said))

    def calibration_scores(self, model: SimDNN) -> FloatArray:
        """Score the calibration images by the prototypes as they are now: (n + m,)."""
        held, changed = (self.witness.calibration, self.witness.hardening) if self.witness else (None, None)
        parts = [(self.calibration, model.calibration_samples_, held)]
        if len(self.hardening):
            parts.append((self.hardening, self.hardening_samples, changed))
        scores = [
            self.clean.score(views, *self._sources(model, model.similarities(samples), said))
            for views, samples, said in parts
        ]
        return np.concatenate(scores)

    def calibration_samples(self, model: SimDNN) -> NDArray[np.floating]:
        """Return the features behind the calibration scores, in their order: (n + m, d)."""
        return np.concatenate([model.calibration_samples_, self.hardening_samples])

    def _sources(
        self, model: SimDNN, similarities: FloatArray, said: Answers | None
    ) -> tuple[FloatArray, FloatArray | None]:
        """Return the similarity to the nearest prototype, and what the witness has against the answers."""
        doubt = None
        if self.witness and said:
            doubt = self.witness.disagreement(said, model.label(similarities))
        return similarities.max(axis=1), doubt

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return a header, and arrays, for the guard file."""
        clean = self.clean
        header: dict[str, Any] = {"views": [view.as_dict() for view in self.views]}
        witness, theirs = self.witness.pack() if self.witness else (None, {})
        return header | {"witness": witness}, theirs | {
            "profile_scale": clean.scale,
            "profile_lines": np.stack([clean.slope, clean.intercept, clean.deviation]),
            "profile_calibration": self.calibration,
            "profile_hardening": self.hardening,
            "profile_hardening_samples": self.hardening_samples,
        }

    @classmethod
    def unpack(cls, header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Self:
        """Undo :meth:`pack`; ValueError if the parts do not fit together."""
        views, told = header["views"], header["witness"]
        samples = tensors["calibration_samples"]
        sides = {
            "p": 2,
            "l": 3,
            "s": len(SOURCES) - (told is None),
            "v": 6,
            "k": len(samples),
            "n": samples.shape[1],
        }
        for name, letters in SHAPES.items():
            check_array(name, tensors, letters, sides, "f", (-LARGEST, LARGEST))
        slope, intercept, deviation = tensors["profile_lines"]
        drawn = tuple(View.from_dict(view) for view in views)
        if len(drawn) > max(LEVELS.values()) or not all(_is_sound(view) for view in drawn):
            raise ValueError("the views are none that a guard draws")
        if not (deviation > 1 / LARGEST).all():
            raise ValueError("the profile has no deviation")
        return cls(
            drawn,
            SimilarityProfile(tensors["profile_scale"], slope, intercept, deviation),
            tensors["profile_calibration"],
            tensors["profile_hardening"],
            tensors["profile_hardening_samples"],
            None if told is None else Witness.unpack(told, tensors, (sides["k"], sides["h"])),
        )


def answers(images: Batch | Extraction) -> Answers:
    """Return what the protected network and the witness say."""
    return Answers(images.logits.argmax(axis=1), images.witness_logits)


def compared(images: Batch | Extraction) -> FloatArray:
    """Compare images with their views: (N, 6), see :func:`simdnn.rules.statistics.compare_views`."""
    features = np.concatenate([images.features[:, None], images.view_features], axis=1)
    logits = np.concatenate([images.logits[:, None], images.view_logits], axis=1)
    return compare_views(features, logits)


def draw_views(level: str, secret: int) -> tuple[View, ...]:
    """Draw the views of one guard.

    They come in pairs, moved by few pixels to roughly opposite sides, so that a clean image's features lie between
    those of its views. The choice is among some dozens: it stops an attack tuned to another guard, not a search.

    Parameters
    ----------
    level : one of `LEVELS`
    secret : seed of the draw

    Raises
    ------
    InputError
        If there is no such level.
    """
    if level not in LEVELS:
        raise InputError(f"no level {level!r}; the levels are {', '.join(LEVELS)}")
    draw = np.random.default_rng(secret)
    right, down = (int(sign) for sign in draw.choice([-1, 1], 2))
    views: list[View] = []
    for diagonal in ((right, down), (right, -down)):
        further, lower = (int(pixels) for pixels in draw.integers(1, 4, 2))
        views.append(View(right=diagonal[0], down=diagonal[1]))
        views.append(View(right=-diagonal[0] * further, down=-diagonal[1] * lower))
    return tuple(views[: LEVELS[level]])


def learn_profile(
    extractor: Extractor,
    model: SimDNN,
    scaler: MinMaxScaler,
    *,
    calibrating: Sequence[Path],
    learned: Sequence[Path],
    labels: NDArray[np.str_],
    said: Answers,
    views: tuple[View, ...],
    seed: int,
    progress: Progress | None,
) -> GuardProfile:
    """Learn what the profiles of clean images look like.

    Parameters
    ----------
    extractor, model, scaler : those of the guard; the model is fitted and calibrated
    calibrating, learned : files of the calibration images, and of the images that the model learned, in its order
    labels, said : of the images that the model learned
    views : of the guard
    seed : of the choice among the learned images, and of the harmless changes
    progress : called with (done, total)
    """
    # Not the exemplars: an image that is a prototype itself has no distance to it.
    ordinary = np.setdiff1d(np.arange(len(learned)), [p.exemplar for p in model.prototypes_])
    sample = np.random.default_rng(seed).permutation(ordinary)[:LEARNED]
    files = [*calibrating, *(learned[i] for i in sample)]
    if not calibrating or not len(sample):
        raise InputError(
            f"the rule 'profile' needs images to calibrate on and images besides the prototypes; got "
            f"{len(calibrating)} and {len(sample)}; give more images, or another rule"
        )
    found = _sound(extractor.extract(files, progress, views=views))
    changed = _sound(extractor.extract(_changed(extractor, calibrating, seed), views=views))
    seen, spoken, n = compared(found), answers(found), len(calibrating)
    similarities = model.similarities(scaler.transform(found.features[n:]))
    witness = doubt = None
    if extractor.witness:
        held = Answers(spoken.outputs[:n], spoken.logits[:n])
        witness = Witness.learn(said, labels, extractor.n_classes, held, answers(changed))
        doubt = witness.disagreement(
            Answers(spoken.outputs[n:], spoken.logits[n:]), model.label(similarities)
        )
    return GuardProfile(
        views,
        SimilarityProfile.learn(seen[n:], similarities.max(axis=1), doubt),
        calibration=seen[:n],
        hardening=compared(changed),
        hardening_samples=scaler.transform(changed.features),
        witness=witness,
    )


def _sound(found: Extraction) -> Extraction:
    """Return what was extracted; InputError if an image that was read before cannot be read any more."""
    for reason in found.errors.values():
        raise InputError(f"an image changed while the guard was fitted: {reason}; fit again")
    return found


def _changed(extractor: Extractor, files: Sequence[Path], seed: int) -> list[bytes]:
    """Read every second image and change it harmlessly, each kind of change in turn; as files would hold them."""
    draw, kinds = Generator().manual_seed(seed), cycle(CHANGES)
    preprocess = extractor.backbones[0].spec.preprocess
    changed = []
    for file in files[::2][:LEARNED]:
        pixels = apply(next(kinds), preprocess(read_image(file)), draw)
        encoded = BytesIO()
        Image.fromarray((pixels * 255).byte().permute(1, 2, 0).numpy()).save(encoded, "PNG")
        changed.append(encoded.getvalue())
    return changed


def _is_sound(view: View) -> bool:
    return (
        type(view.mirror) is bool
        and type(view.right) is type(view.down) is int
        and type(view.angle) in (int, float)
        and isfinite(view.angle)
    )
