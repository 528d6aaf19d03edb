"""Time learning against a NumPy loop and against VGG-16: `python experiments/scripts/learning.py`.

It compares three times, alternately in one process, by their medians: Sim-DNN learns features, a plain NumPy loop over
eqs. 4 to 8 learns the same, and VGG-16 extracts as many images as there are samples (a few batches, extrapolated).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import vgg16

from record import timed, write_record
from simdnn.paper.estimator import SimDNN

BATCH = 16
WARM_UP = 100

Features = NDArray[np.float32]
Labels = NDArray[np.int64]


def features(count: int, width: int, classes: int, seed: int) -> tuple[Features, Labels]:
    """Return features as a network's last ReLU gives them: half zeros, classes around centres of their own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    centres = rng.normal(size=(classes, width)).astype(np.float32)
    noise = rng.standard_normal((count, width), dtype=np.float32)
    return np.maximum(centres[labels] + noise, 0), labels


def plain_loop(samples: Features) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Learn one class as a competent person would write it in NumPy: a loop over samples, vectorised over prototypes.

    Returns the prototypes (M, n) and their support (M,).
    """
    rows = samples.astype(np.float64)
    mean, product = rows[0].copy(), float(rows[0] @ rows[0])
    prototypes, support, known = np.empty((64, rows.shape[1])), np.zeros(64, dtype=np.int64), 1
    prototypes[0], support[0] = rows[0], 1
    for i in range(1, len(rows)):
        x, n = rows[i], i + 1
        mean += (x - mean) / n  # eq. 4
        product += (float(x @ x) - product) / n  # eq. 5
        variance = product - float(mean @ mean)
        current = prototypes[:known]
        away = x - mean
        own = 1 / (1 + float(away @ away) / variance)  # eq. 2
        apart = current - mean
        theirs = 1 / (1 + np.einsum("ij,ij->i", apart, apart) / variance)
        if own >= theirs.max() or own <= theirs.min():  # eq. 8
            if known == len(prototypes):
                prototypes = np.concatenate([prototypes, np.empty_like(prototypes)])
                support = np.concatenate([support, np.zeros_like(support)])
            prototypes[known], support[known] = x, 1
            known += 1
            continue
        difference = current - x
        nearest = int(np.einsum("ij,ij->i", difference, difference).argmin())  # eq. 7
        support[nearest] += 1
        prototypes[nearest] += (x - prototypes[nearest]) / support[nearest]  # line 11
    return prototypes[:known], support[:known]


def assert_equal(model: SimDNN, samples: Features, labels: Labels) -> None:
    """Stop unless both learn the same prototypes."""
    for name, learned in model.prototypes_.classes.items():
        vectors, support = plain_loop(samples[labels == int(name)])
        np.testing.assert_array_equal(learned.support, support)
        np.testing.assert_allclose(learned.vectors, vectors, rtol=0, atol=1e-10)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=4_096)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--images", type=int, default=64, help="images that VGG-16 extracts in each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    samples, labels = features(options.samples, options.width, options.classes, options.seed)
    network = vgg16(weights=None).eval()  # random weights take the time that any weights take
    body = torch.nn.Sequential(network.features, network.avgpool, torch.nn.Flatten(), *network.classifier[:5])
    images = torch.rand(BATCH, 3, 224, 224, generator=torch.Generator().manual_seed(options.seed))
    batches = max(1, options.images // BATCH)

    def extract() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                body(images)

    def loop() -> None:
        for label in range(options.classes):
            plain_loop(samples[labels == label])

    def learn(jobs: int) -> Callable[[], object]:
        return lambda: SimDNN(calibration=0, n_jobs=jobs).fit(samples, labels)

    jobs: dict[str, Callable[[], object]] = {
        "simdnn_1_job": learn(1),
        "simdnn_2_jobs": learn(2),
        "numpy_loop": loop,
        "vgg16_sample": extract,
    }
    first = SimDNN(calibration=0).fit(samples[:WARM_UP], labels[:WARM_UP])  # compiles, and is compared
    assert_equal(first, samples[:WARM_UP], labels[:WARM_UP])
    extract()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    load = [os.getloadavg()[0]]
    for _ in range(options.repeats):
        for name, job in jobs.items():
            seconds[name].append(timed(job))
    load.append(os.getloadavg()[0])

    medians = {name: median(times) for name, times in seconds.items()}
    vgg16_all = medians["vgg16_sample"] * options.samples / (batches * BATCH)
    ratios = {
        f"{name}_{what}": value
        for name in ("simdnn_1_job", "simdnn_2_jobs")
        for what, value in (
            ("share_of_vgg16", medians[name] / vgg16_all),
            ("times_faster_than_numpy_loop", medians["numpy_loop"] / medians[name]),
        )
    }
    path = write_record(
        "learning",
        {
            "what": "learning features, against a NumPy loop over eqs. 4 to 8 and against extracting them",
            "target": {"share_of_vgg16": "< 0.01", "times_faster_than_numpy_loop": ">= 5"},
            "n": options.samples,
            "width": options.width,
            "classes": options.classes,
            "seed": options.seed,
            "prototypes": sum(
                len(plain_loop(samples[labels == label])[1]) for label in range(options.classes)
            ),
            "repeats": options.repeats,
            "seconds": seconds,
            "median_seconds": medians | {"vgg16_extrapolated": vgg16_all},
            "ratios": ratios,
            "load_before_and_after": load,
            "note": f"VGG-16 (random weights, 224 x 224, batches of {BATCH}, penultimate layer, no image reading) was "
            f"timed on {batches * BATCH} images per repeat and extrapolated to {options.samples} in proportion. The "
            "compiled loop was warmed up; compiling takes some seconds once per machine.",
        },
    )
    print(f"{path}\n" + "\n".join(f"{name}: {value:.4g}" for name, value in (medians | ratios).items()))


if __name__ == "__main__":
    main()
