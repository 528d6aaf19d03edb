"""Every baseline against its formula, written plainly, and against the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax
from tests.guard.networks import digits_backbone
from torch import Tensor, nn

from simdnn.attacks import FGSM, run_attack
from simdnn.digits import read_digits
from simdnn.errors import InputError
from simdnn.evaluation.baselines import BASELINES
from simdnn.evaluation.baselines.classic import VirtualLogit
from simdnn.evaluation.baselines.detector import Detector, find_detector
from simdnn.evaluation.baselines.inputs import BaselineInput, baseline_input, middle_layers
from simdnn.evaluation.baselines.kde import KDE
from simdnn.evaluation.baselines.lid import LID, dimensionality
from simdnn.evaluation.baselines.neighbours import neighbour
from simdnn.evaluation.baselines.squeezing import fewer_bits, median
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.classifier import Classifier
from simdnn.networks.digits import DigitsNet

HELD_OUT = 100


@pytest.fixture(scope="module")
def network(digits: Path) -> Backbone:
    plain = digits_backbone(digits)
    layers = (*middle_layers(plain), *plain.layers)
    return load_backbone(
        "digits", layers=layers, network=plain.network, mean=(0, 0, 0), std=(1, 1, 1), size=32
    )


@pytest.fixture(scope="module")
def seen(digits: Path, network: Backbone) -> tuple[BaselineInput, NDArray[np.int64]]:
    _, images, labels = read_digits(digits / "train")
    return baseline_input(network, images), labels.numpy()


@pytest.fixture(scope="module")
def clean(digits: Path, network: Backbone) -> BaselineInput:
    _, images, _ = read_digits(digits / "test")
    return baseline_input(
        network, images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:HELD_OUT]]
    )


@pytest.fixture(scope="module")
def attacked(clean: BaselineInput, network: Backbone) -> BaselineInput:
    """The same digits, attacked."""
    truth = torch.from_numpy(clean.logits.argmax(axis=1))
    return baseline_input(network, run_attack(FGSM(eps=0.1), Classifier(network), clean.pixels, truth).images)


@pytest.fixture(scope="module")
def fitted(network: Backbone, seen: tuple[BaselineInput, NDArray[np.int64]]) -> dict[str, Detector]:
    made = {name: find_detector(name)() for name in BASELINES}
    for detector in made.values():
        detector.fit(network, *seen)
    return made


@pytest.mark.parametrize("name", BASELINES)
class TestEveryBaseline:
    def test_scores_are_finite_and_differ(
        self, fitted: dict[str, Detector], network: Backbone, clean: BaselineInput, name: str
    ) -> None:
        scores = fitted[name].score(network, clean)
        assert scores.shape == (HELD_OUT,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) > 20

    def test_no_score_depends_on_the_other_images(
        self, fitted: dict[str, Detector], network: Backbone, clean: BaselineInput, name: str
    ) -> None:
        whole = fitted[name].score(network, clean.rows(range(0, 12)))
        parts = [fitted[name].score(network, clean.rows(range(i, i + 4))) for i in (0, 4, 8)]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-3, atol=1e-4 * np.abs(whole).max())

    def test_two_fits_agree(
        self, fitted: dict[str, Detector], network: Backbone, clean: BaselineInput, name: str,
        seen: tuple[BaselineInput, NDArray[np.int64]],
    ) -> None:  # fmt: skip
        again = find_detector(name)()
        again.fit(network, *seen)
        some = clean.rows(range(0, 20))
        expected = fitted[name].score(network, some)
        np.testing.assert_allclose(
            again.score(network, some), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )

    def test_attacked_images_look_less_clean(
        self,
        fitted: dict[str, Detector],
        network: Backbone,
        clean: BaselineInput,
        attacked: BaselineInput,
        name: str,
    ) -> None:
        assert np.median(fitted[name].score(network, attacked)) < np.median(
            fitted[name].score(network, clean)
        )

    def test_identical_and_constant_features_do_no_harm(
        self, network: Backbone, seen: tuple[BaselineInput, NDArray[np.int64]], name: str
    ) -> None:
        learned, _ = seen
        features = {layer: values[:80].copy() for layer, values in learned.features.items()}
        for values in features.values():
            values[:, 0] = 1.0  # says nothing
            values[1] = values[0]  # a duplicate
        detector = find_detector(name)()
        few = BaselineInput(learned.pixels[:80], learned.logits[:80], features)
        detector.fit(network, few, np.arange(80) % 4)
        assert np.isfinite(detector.score(network, few)).all()

    def test_it_says_what_it_follows(self, fitted: dict[str, Detector], name: str) -> None:
        assert fitted[name].name
        assert "20" in fitted[name].paper  # a year


def test_msp_and_energy_are_their_formulas(
    fitted: dict[str, Detector], network: Backbone, clean: BaselineInput
) -> None:
    logits = clean.logits.astype(np.float64)
    np.testing.assert_allclose(
        fitted["msp"].score(network, clean), softmax(logits, axis=1).max(axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(fitted["energy"].score(network, clean), logsumexp(logits, axis=1), rtol=1e-5)


def test_mahalanobis_is_half_the_squared_distance_to_the_nearest_mean(
    fitted: dict[str, Detector],
    network: Backbone,
    clean: BaselineInput,
    seen: tuple[BaselineInput, NDArray[np.int64]],
) -> None:
    features, labels = seen[0].penultimate.astype(np.float64), seen[1]
    means = np.stack([features[labels == c].mean(axis=0) for c in range(10)])
    centred = features - means[labels]
    precision = np.linalg.inv(centred.T @ centred + 1e-6 * np.eye(features.shape[1]))
    away = clean.penultimate[:, None].astype(np.float64) - means
    expected = -0.5 * np.einsum("nci,ij,ncj->nc", away, precision, away).min(axis=1)
    np.testing.assert_allclose(fitted["mahalanobis"].score(network, clean), expected, rtol=0.02)


def test_knn_is_the_distance_to_the_fiftieth_neighbour_at_unit_length(
    fitted: dict[str, Detector],
    network: Backbone,
    clean: BaselineInput,
    seen: tuple[BaselineInput, NDArray[np.int64]],
) -> None:
    def unit(x: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = x.astype(np.float64)
        return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))

    distances = np.linalg.norm(unit(clean.penultimate)[:, None] - unit(seen[0].penultimate)[None], axis=2)
    np.testing.assert_allclose(
        fitted["knn"].score(network, clean), -np.sort(distances, axis=1)[:, 49], rtol=1e-4
    )


def test_kde_is_the_mean_kernel_over_the_class_of_the_nearest_mean(
    network: Backbone, clean: BaselineInput, seen: tuple[BaselineInput, NDArray[np.int64]]
) -> None:
    detector = KDE()
    detector.fit(network, *seen)
    features, labels = seen[0].penultimate.astype(np.float64), seen[1]
    scores = detector.score(network, clean)
    means = np.stack([features[labels == c].mean(axis=0) for c in range(10)])
    plain = []
    for x in clean.penultimate.astype(np.float64):
        own = features[labels == np.linalg.norm(means - x, axis=1).argmin()]
        squares = ((own - x) ** 2).sum(axis=1)
        plain.append(logsumexp(-squares / (2 * detector.bandwidth**2)) - np.log(len(own)))
    # scikit-learn's density has a constant of the bandwidth and the dimension as well
    difference = scores - np.array(plain)
    assert np.ptp(difference) < 1e-6 * np.abs(scores).max()


def test_the_dimension_of_a_uniform_ball_is_found() -> None:
    draw = np.random.default_rng(0)
    for dimension in (2, 6):
        radii = np.sort(draw.random((400, 200)) ** (1 / dimension), axis=1)[:, :40]
        assert np.median(dimensionality(radii)) == pytest.approx(dimension, rel=0.1)
    one = np.array([[1.0, 2.0, 4.0]])
    assert dimensionality(one)[0] == pytest.approx(-1 / ((np.log(1 / 4) + np.log(2 / 4)) / 3))


def test_lid_leaves_each_clean_image_itself_out(
    network: Backbone, seen: tuple[BaselineInput, NDArray[np.int64]]
) -> None:
    detector = LID()
    detector.fit(network, *seen)
    assert np.all(detector.mean > 1)
    assert np.all(detector.mean < 60)  # with a distance of 0 to itself it would be next to 0


def test_feature_squeezing_is_the_largest_change_of_the_posterior(
    fitted: dict[str, Detector], network: Backbone, clean: BaselineInput
) -> None:
    pixels = clean.pixels[:3]
    before = softmax(clean.logits[:3].astype(np.float64), axis=1)
    for squeeze in (fewer_bits, median):
        after = softmax(baseline_input(network, squeeze(pixels)).logits.astype(np.float64), axis=1)
        least = np.abs(before - after).sum(axis=1)
        assert (-fitted["squeezing"].score(network, clean.rows(range(0, 3))) >= least - 1e-6).all()
    assert len(set(fewer_bits(torch.linspace(0, 1, 1000)).tolist())) == 32
    corner = median(torch.arange(16.0).view(1, 1, 4, 4) / 16)[0, 0, 1, 1]
    assert corner in (torch.tensor([0.0, 1.0, 4.0, 5.0]) / 16)


def test_neighbours_are_alike_for_all_images_and_unlike_each_other(clean: BaselineInput) -> None:
    some = clean.pixels[:4]
    torch.testing.assert_close(neighbour(some, 3)[2:], neighbour(some[2:], 3))
    assert (neighbour(some, 3) - neighbour(some, 4)).abs().max() > 0.1
    before = torch.get_rng_state()
    neighbour(some, 5)
    assert torch.equal(before, torch.get_rng_state())


def test_vim_needs_a_head_that_takes_the_features(clean: BaselineInput) -> None:
    network = DigitsNet()
    network.head = nn.Linear(96, 10, bias=False)
    backbone = load_backbone("x", network=network, mean=(0, 0, 0), std=(1, 1, 1), size=32)
    with pytest.raises(InputError, match="ViM needs a last layer with weight and bias"):
        VirtualLogit().fit(backbone, clean, np.zeros(HELD_OUT, dtype=np.int64))


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("vgg11_bn", 64), ("resnet18", 64), ("densenet121", 64), ("inception_v3", 80), ("mobilenet_v2", 64),
        ("shufflenet_v2_x1_0", 64), ("mnasnet1_0", 64), ("squeezenet1_1", 64),
    ],
)  # fmt: skip
def test_layers_are_found_in_every_family(name: str, side: int) -> None:
    own = {"init_weights": False} if name == "inception_v3" else {}
    network = torchvision.models.get_model(name, weights=None, num_classes=10, **own)
    if name == "inception_v3":
        network.AuxLogits = None
        network.aux_logits = False
    plain = load_backbone("x", network=network, size=side)
    layers = middle_layers(plain)
    assert 2 <= len(layers) <= 3
    watched = load_backbone("x", layers=(*layers, *plain.layers), network=network, size=side)
    images: Tensor = torch.rand(2, 3, side, side)
    seen = baseline_input(watched, images)
    assert list(seen.features) == [*layers, *plain.layers]
    np.testing.assert_allclose(seen.penultimate, plain(images).features[plain.layers[0]].numpy(), rtol=1e-4)
