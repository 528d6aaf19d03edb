"""Extraction: order, errors, the cache, interruption, several networks, views."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from simdnn.errors import InputError
from simdnn.images.shifts import Shift
from simdnn.networks.backbone import Backbone, load_backbone
from simdnn.networks.cache import FeatureCache
from simdnn.networks.extractor import Extractor
from simdnn.networks.prepare import Image as Source
from simdnn.networks.trial import TRIAL_IMAGES


class Progress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self.told.append((done, total))


class Counting(nn.Module):
    """A small network that counts the images it has seen."""

    def __init__(self, seed: int, width: int = 6) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, width, 5, stride=3)
        self.head = nn.Linear(width, 4)
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        logits: Tensor = self.head(self.conv(images).relu().mean((2, 3)))
        return logits


def backbone(seed: int = 0, *, width: int = 6, size: int = 24, layers: tuple[str, ...] = ()) -> Backbone:
    return load_backbone("counting", layers=layers, network=Counting(seed, width), size=size)


def seen(backbone: Backbone) -> int:
    """Images that went through, without those that a backbone is tried with when it is made."""
    assert isinstance(backbone.network, Counting)
    return backbone.network.seen - TRIAL_IMAGES


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eleven pictures of 24 x 24."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0).integers(0, 256, (11, 24, 24, 3), np.uint8)
    paths = [folder / f"{i}.png" for i in range(len(noise))]
    for path, pixels in zip(paths, noise, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def pixels_of(paths: list[Path]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(Image.open(p))).permute(2, 0, 1) / 255 for p in paths])


def test_features_are_the_networks_in_order_whatever_the_batches(files: list[Path]) -> None:
    network = backbone()
    with torch.no_grad():
        logits, features = network(pixels_of(files))
    for batch_size, workers in itertools.product((1, 4, 50), (1, 3)):
        progress = Progress()
        found = Extractor([network], batch_size=batch_size, workers=workers, device="cpu").extract(
            files, progress
        )
        np.testing.assert_allclose(found.features, features["penultimate"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-5)
        assert found.positions.tolist() == list(range(11))
        assert {found.features.dtype.name, found.logits.dtype.name} == {"float32"}
        assert progress.told == [(min(i + batch_size, 11), 11) for i in range(0, 11, batch_size)]


def test_paths_strings_bytes_and_pixels_are_one(files: list[Path]) -> None:
    extractor = Extractor([backbone()], device="cpu")
    expected = extractor.extract(files).features
    pixels = pixels_of(files)
    forms: list[Sequence[Source] | Tensor] = [
        [str(path) for path in files],
        [path.read_bytes() for path in files],
        pixels,
        list(pixels),
    ]
    for images in forms:
        np.testing.assert_allclose(extractor.extract(images).features, expected, rtol=0, atol=1e-6)


def test_bad_images_are_reported_by_position_and_stop_nothing(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(files[0].read_bytes()[:60])
    images: list[Source] = [
        files[0],
        tmp_path / "bad.png",
        tmp_path / "absent.png",
        b"",
        torch.zeros(3, 9, 9),
        torch.full((3, 24, 24), 2.0),
        torch.full((3, 24, 24), torch.nan),
        files[1],
    ]
    extractor = Extractor([backbone()], batch_size=3, device="cpu")
    found = extractor.extract(images)
    assert found.positions.tolist() == [0, 7]
    assert list(found.errors) == [1, 2, 3, 4, 5, 6]
    assert "truncated" in found.errors[1]
    assert found.errors[2] == "the file does not exist"
    assert found.errors[3] == "the file is empty"
    assert (
        found.errors[4] == "expected floating-point pixels of shape (3, 24, 24), got torch.float32 (3, 9, 9)"
    )
    assert found.errors[5] == "expected pixels in [0, 1], got 2 to 2"
    assert found.errors[6] == "expected pixels in [0, 1], got nan to nan"
    np.testing.assert_allclose(found.features, extractor.extract(files[:2]).features, rtol=0, atol=1e-6)
    nothing = extractor.extract(images[1:3], views=[Shift(mirror=True)])
    assert (nothing.features.shape, nothing.logits.shape) == ((0, 6), (0, 4))
    assert (nothing.view_features.shape, nothing.view_logits.shape) == ((0, 1, 6), (0, 1, 4))
    assert extractor.extract([]).features.shape == (0, 6)


def test_two_networks_and_their_layers_side_by_side(files: list[Path]) -> None:
    first, second = backbone(0), backbone(1, width=5, size=32, layers=("conv", "penultimate"))
    both = Extractor([first, second], device="cpu").extract(files)
    alone = [Extractor([network], device="cpu").extract(files) for network in (first, second)]
    np.testing.assert_allclose(both.features, np.hstack([a.features for a in alone]), rtol=0, atol=1e-6)
    np.testing.assert_allclose(both.logits, alone[0].logits, rtol=0, atol=1e-6)
    assert both.features.shape == (11, 6 + 5 + 5)


def test_views_go_through_with_the_image_and_are_cached(files: list[Path], tmp_path: Path) -> None:
    network, views = backbone(), [Shift(mirror=True), Shift(right=3, down=1)]
    images = pixels_of(files)
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        extractor = Extractor([network], batch_size=4, device="cpu", cache=cache)
        extractor.extract(files)
        fresh = extractor.extract(files, views=views, view_key="mine")
        assert seen(network) == 11 + 3 * 11
        kept = extractor.extract(files, views=views, view_key="mine")
        assert seen(network) == 11 + 3 * 11
        rows = len(cache)
        extractor.extract(files, views=views)  # a key made of the views would give them away
        assert (seen(network), len(cache)) == (11 + 6 * 11, rows)
    for found in (fresh, kept):
        for i, view in enumerate(views):
            with torch.no_grad():
                logits, features = network(view(images))
            np.testing.assert_allclose(found.view_features[:, i], features["penultimate"], rtol=0, atol=1e-5)
            np.testing.assert_allclose(found.view_logits[:, i], logits, rtol=0, atol=1e-5)


def test_pixels_are_given_on_request_and_can_take_gradients(files: list[Path], tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        extractor = Extractor([backbone()], device="cpu", cache=cache)
        assert [batch.pixels for batch in extractor.stream(files)] == [None]
        (batch,) = extractor.stream([b"", *files], pixels=True)
    assert batch.pixels is not None
    pixels = torch.from_numpy(batch.pixels)
    torch.testing.assert_close(pixels, pixels_of(files))
    pixels.requires_grad_()
    extractor.backbones[0](pixels).logits.sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0


def test_an_interrupted_run_goes_on_where_it_stopped(files: list[Path], tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with FeatureCache(tmp_path / "c.sqlite") as cache:
        network = backbone()
        with pytest.raises(KeyboardInterrupt):
            Extractor([network], batch_size=3, device="cpu", cache=cache).extract(files, interrupt)
        assert seen(network) == 6
        again = backbone()
        found = Extractor([again], batch_size=4, device="cpu", cache=cache).extract(files)
        assert seen(again) == 11 - 6
        expected = Extractor([backbone()], device="cpu").extract(files)
        np.testing.assert_allclose(found.features, expected.features, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-6)
        copies = [path.read_bytes() for path in reversed(files)]
        Extractor([again], device="cpu", cache=cache).extract(copies)  # the same content under no name
        assert seen(again) == 11 - 6


def test_a_killed_run_keeps_what_was_done(files: list[Path], tmp_path: Path) -> None:
    module = Path(__file__)
    script = f"""
import importlib.util, os, signal, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("helpers", {str(module)!r})
helpers = sys.modules["helpers"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helpers)
cache = helpers.FeatureCache({str(tmp_path / "c.sqlite")!r})
extractor = helpers.Extractor([helpers.backbone()], batch_size=4, device="cpu", cache=cache)
files = [Path(name) for name in sys.argv[1:]]
extractor.extract(files, lambda done, total: done >= 8 and os.kill(os.getpid(), signal.SIGKILL))
"""
    killed = subprocess.run([sys.executable, "-c", script, *map(str, files)], check=False)
    assert killed.returncode == -9
    network = backbone()
    with FeatureCache(tmp_path / "c.sqlite") as cache:
        found = Extractor([network], device="cpu", cache=cache).extract(files)
    assert seen(network) == 11 - 8
    assert found.positions.tolist() == list(range(11))


def test_the_fingerprint_tells_whatever_changes_the_result() -> None:
    def fingerprint(*networks: Backbone) -> str:
        return Extractor(networks, device="cpu").fingerprint

    variants = [
        [backbone()],
        [backbone(1)],
        [backbone(layers=("conv",))],
        [backbone(size=32)],
        [backbone(), backbone(1)],
        [load_backbone("counting", network=Counting(0), size=24, mean=(0.5, 0.5, 0.5))],
    ]
    assert len({fingerprint(*networks) for networks in variants}) == len(variants)
    assert fingerprint(backbone()) == fingerprint(backbone())


class Watched(Sequence[Path]):
    """Remembers which images were asked for."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, i: int) -> Path: ...

    @overload
    def __getitem__(self, i: slice) -> list[Path]: ...

    def __getitem__(self, i: int | slice) -> Path | list[Path]:
        if isinstance(i, int):
            self.asked.append(i)
        return self.paths[i]


def test_reading_ahead_is_bounded_and_ends_with_the_stream(files: list[Path]) -> None:
    images = Watched(files)
    stream = Extractor([backbone()], batch_size=2, workers=1, device="cpu").stream(images)
    next(stream)
    assert images.asked == [0, 1, 2, 3, 4, 5]
    stream.close()
    for thread in [t for t in threading.enumerate() if t.name.startswith("simdnn-read")]:
        thread.join(5)
        assert not thread.is_alive()


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="at least one backbone, got none"):
        Extractor([])
    with pytest.raises(InputError, match="batch_size and workers of at least 1, got 0 and None"):
        Extractor([backbone()], batch_size=0)
