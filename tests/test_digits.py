"""The digits network, and the folder it is trained from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from tests.trained_digits import TrainedDigits

from simdnn.attacks import predict
from simdnn.digits import read_digits, train_network, write_digits
from simdnn.images.reading import read_image
from simdnn.networks.digits import DigitsNet, digits_network


@pytest.fixture(scope="module")
def folder(trained_digits: TrainedDigits) -> Path:
    return trained_digits.folder


def test_every_digit_is_written_once_under_its_own_class(folder: Path) -> None:
    digits = load_digits()
    paths = [path for part in ("network", "train", "test") for path in (folder / part).rglob("*.png")]
    assert sorted(int(path.stem) for path in paths) == list(range(1797))
    assert all(int(path.parent.name) == digits.target[int(path.stem)] for path in paths)


@pytest.mark.parametrize("part", ["network", "train", "test"])
def test_parts_are_stratified(folder: Path, part: str) -> None:
    counts = [len(list((folder / part / str(digit)).iterdir())) for digit in range(10)]
    assert sum(counts) == 599
    assert all(abs(counts[digit] - (load_digits().target == digit).sum() / 3) <= 1 for digit in range(10))


def test_pictures_are_the_scans_enlarged(folder: Path) -> None:
    (path,) = folder.rglob("0000.png")
    picture = read_image(path)
    assert picture.size == (32, 32)
    small = torch.tensor(load_digits().images[0]) / 16
    pixels = torch.tensor(list(picture.convert("L").tobytes())).view(32, 32) / 255
    blocks = pixels.view(8, 4, 8, 4).mean(dim=(1, 3)).double()
    assert torch.corrcoef(torch.stack([blocks.flatten(), small.flatten()]))[0, 1] > 0.95


def test_another_seed_gives_another_split(folder: Path, tmp_path: Path) -> None:
    write_digits(tmp_path, seed=1)
    first, second = ({path.stem for path in (f / "test").rglob("*.png")} for f in (folder, tmp_path))
    assert len(first & second) < 300


def test_network_reads_digits_it_has_not_seen(folder: Path, trained_digits: TrainedDigits) -> None:
    backbone = trained_digits.backbone()
    _, images, digits = read_digits(folder / "test")
    with torch.no_grad():
        output = backbone(images)
    assert (output.logits.argmax(dim=1) == digits).float().mean() >= 0.96
    assert output.features["penultimate"].shape == (599, 96)


def test_training_repeats_with_any_threads_and_leaves_the_global_state_alone(
    folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    seen: list[tuple[int, int]] = []
    states = []
    for n in (1, 2):
        torch.set_num_threads(n)
        network = train_network(
            folder / "network",
            tmp_path / f"{n}.safetensors",
            epochs=1,
            progress=lambda done, total: seen.append((done, total)),
        )
        states.append(network.state_dict())
        assert torch.get_num_threads() == n
    assert torch.rand(1) == expected
    assert seen == [(599, 599), (599, 599)]
    for name, values in states[0].items():
        assert torch.equal(values, states[1][name])


def test_factory_needs_no_arguments() -> None:
    network = digits_network().eval()
    assert isinstance(network, DigitsNet)
    assert predict(network, torch.zeros(2, 3, 32, 32)).shape == (2,)
