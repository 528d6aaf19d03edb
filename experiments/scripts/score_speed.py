"""Compare two ways to write each score once: `python experiments/scripts/score_speed.py`.

The profile's score of a batch, with NumPy arrays and with PyTorch tensors made of them and turned back: what a verdict
would cost if scores were written for PyTorch alone. Random features of MobileNetV2's width; times are of the second
over the first, in one process.
"""

from __future__ import annotations

from statistics import median

import numpy as np
import torch

from record import timed, write_record
from simdnn.arrays import Array
from simdnn.paper.model import SimilarityModel
from simdnn.rules.clean_profile import CleanProfile
from simdnn.rules.inputs import RuleInput
from simdnn.rules.sources import Measured
from simdnn.rules.view_statistics import compare_views

FEATURES, LOGITS, VIEWS, TURNS = 1280, 1000, 2, 15


def images(n: int, seed: int) -> tuple[np.ndarray, ...]:
    """Random features and logits of images and their views."""
    draw = np.random.default_rng(seed)
    centre = draw.normal(size=(n, 1, FEATURES))
    features = (centre + 0.1 * draw.normal(size=(n, 1 + VIEWS, FEATURES))).astype(np.float32)
    logits = draw.normal(0, 3, (n, 1, LOGITS)) + 0.3 * draw.normal(size=(n, 1 + VIEWS, LOGITS))
    return features, logits.astype(np.float32)


def measured(model: SimilarityModel, features: Array, logits: Array) -> Measured:
    """Compare images with the prototypes and with their views."""
    predictions = logits[:, 0].argmax(1)
    views = compare_views(features[:, 0], features[:, 1:], logits[:, 0], logits[:, 1:], predictions)
    similarities = model.similarities(features[:, 0])
    none = features[:, 0, :0]
    return Measured.of(RuleInput(features[:, 0], logits[:, 0], predictions, similarities, none, views))


def main() -> None:
    """Measure at two batch sizes and record."""
    features, logits = images(400, 0)
    model = SimilarityModel.learn(features[:, 0], np.repeat([f"{c}" for c in range(10)], 40))
    profile = CleanProfile.learn(measured(model, features, logits))
    ratios = {}
    for n in (1, 32):
        features, logits = images(n, 1)

        def in_numpy(features: Array = features, logits: Array = logits) -> Array:
            return profile.score(measured(model, features, logits))

        def in_torch(features: Array = features, logits: Array = logits) -> Array:
            tensors = (torch.from_numpy(features), torch.from_numpy(logits))
            with torch.inference_mode():
                return profile.score(measured(model, *tensors)).numpy()

        np.testing.assert_allclose(in_numpy(), in_torch(), rtol=1e-6)
        numpy, pytorch = (median(timed(job) for _ in range(TURNS)) for job in (in_numpy, in_torch))
        ratios[str(n)] = round(pytorch / numpy, 2)
    print(ratios)
    write_record(
        "score_speed",
        {"torch_over_numpy": ratios, "prototypes": len(model.prototypes), "turns": TURNS, "seed": 0},
    )


if __name__ == "__main__":
    main()
