"""What certified radii look like: `python experiments/scripts/radius_pictures.py` writes docs/radius.jpg.

The photograph is scikit-learn's china.jpg, by danielbuechele, CC BY 2.0.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from simdnn.arrays import FloatArray

SIDE, AMPLIFIED = 224, 40
PATCH = 10
"""Side of the square that is changed alone, in pixels."""


def spread(radius: float, draw: np.random.Generator) -> FloatArray:
    """Return a change (SIDE, SIDE, 3) of that L2 norm, the same amount up or down on every value."""
    signs = np.asarray(draw.choice([-1.0, 1.0], (SIDE, SIDE, 3)))
    return np.asarray(signs * radius / signs.size**0.5)


def patch(radius: float) -> FloatArray:
    """Return a change of that L2 norm, on one square."""
    change = np.zeros((SIDE, SIDE, 3))
    change[60 : 60 + PATCH, 60 : 60 + PATCH] = radius / (3 * PATCH**2) ** 0.5
    return change


def main() -> None:
    """Draw."""
    photograph = load_sample_image("china.jpg")[150 : 150 + SIDE, 200 : 200 + SIDE] / 255
    draw = np.random.default_rng(0)
    changes = {
        "the photograph": np.zeros_like(photograph),
        "L2 0.5, on every value": spread(0.5, draw),
        f"L2 0.5, on {PATCH} x {PATCH} pixels": patch(0.5),
        "L2 1, on every value": spread(1.0, draw),
        f"L-inf 8/255: L2 {8 / 255 * photograph.size**0.5:.1f}\nnot certified": draw.choice(
            [-1.0, 1.0], photograph.shape
        )
        * 8
        / 255,
    }
    figure, axes = plt.subplots(2, len(changes), figsize=(11, 5.1), layout="constrained")
    for (above, below), (title, change) in zip(axes.T, changes.items(), strict=True):
        above.imshow(np.clip(photograph + change, 0, 1))
        below.imshow(np.clip(0.5 + AMPLIFIED * change, 0, 1))
        above.set_title(title, fontsize=9)
        for one in (above, below):
            one.set_xticks([])
            one.set_yticks([])
    axes[1, 0].set_ylabel(f"the change,\n{AMPLIFIED} times as large", fontsize=9)
    figure.savefig(Path(__file__).parents[2] / "docs" / "radius.jpg", dpi=100, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main()
