"""Attacks within certified radii: none may pass, so that one which does shows a fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from simdnn.arrays import FloatArray
from simdnn.attacks.adaptive.attacks import ADAPTIVE_ATTACKS
from simdnn.attacks.adaptive.goal import Goal, nearest_wrong_outputs
from simdnn.attacks.adaptive.module import GuardedNetwork
from simdnn.attacks.adaptive.run import run_adaptive_attack
from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.progress import Progress

WITHIN = 0.99
"""Part of the certified radius that an attack may take."""


class Attacked(NamedTuple):
    """What came of attacks: ``tried`` images, and how many of them have a ``wrong`` class now, all flagged."""

    tried: int
    wrong: int


def attack_within(
    guard: Guard,
    images: Sequence[Path] | Tensor,
    labels: Sequence[str],
    radii: FloatArray,
    *,
    alpha: float,
    attack: str = "selective",
    steps: int = 20,
    draws: int = 8,
    progress: Progress | None = None,
) -> Attacked:
    """Attack network and second opinion together, each image within its own certified radius.

    Parameters
    ----------
    guard : with a second opinion
    images : N files, or (N, 3, H, W) in [0, 1]
    labels : their classes
    radii : (N,) certified; images with a radius of 0 are left out
    alpha : false-alarm rate that the radii belong to
    attack, steps : see :func:`simdnn.attacks.adaptive.run.run_adaptive_attack`
    draws : fresh draws in each step of the attack

    Raises
    ------
    AssertionError
        If an attacked image has a wrong class and is not flagged. By luck of its draws alone that has a probability of
        one or two in a thousand for each image.
    """
    opinion = guard.rule.opinion
    if opinion is None:
        raise InputError("expected a guard with a second opinion: simdnn fit ... --second-opinion FILE")
    guarded = GuardedNetwork(guard, draws=draws)
    guarded.threshold = guard.threshold(alpha=alpha)
    rows = [row for row, radius in enumerate(radii.tolist()) if radius > 0]
    wrong = 0
    for done, row in enumerate(rows, start=1):
        image = _pixels(guard, images[row])
        true = torch.tensor([opinion.outputs[opinion.names.index(labels[row])]])
        goal = Goal(nearest_wrong_outputs(guarded, image, true), guarded.threshold)
        found = run_adaptive_attack(
            guarded,
            ADAPTIVE_ATTACKS[attack],
            image,
            goal,
            eps=float(radii[row]) * WITHIN,
            norm="2",
            steps=steps,
            seed=row,
        )
        (verdict,) = guard.check_tensors(found.images, alpha=alpha)
        mistaken = verdict.opinion_class != labels[row]
        assert not (mistaken and verdict.verdict == "clean"), (
            f"image {row} was certified up to {radii[row]:.3f}, and an attack within that passes as "
            f"{verdict.opinion_class}: a fault in the certificate, or a chance of about 1 in 1000"
        )
        wrong += mistaken
        if progress is not None:
            progress(done, len(rows))
    return Attacked(len(rows), wrong)


def _pixels(guard: Guard, image: Path | Tensor) -> Tensor:
    """Return (1, 3, H, W) as the protected network takes it."""
    batch = next(guard.extractor.stream([image], pixels=True))
    if batch.pixels is None:
        raise InputError(f"{image}: {batch.errors[0]}")
    return torch.from_numpy(batch.pixels)
