"""The example in a browser judges as `simdnn check` does, on the very same pixels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import PIL
import pytest
import torch
from PIL import Image
from tests.browser import browser, open_page
from tests.trained_digits import TrainedDigits

from simdnn.digits import read_digits
from simdnn.guard.guard import Guard
from simdnn.images.preprocess import Preprocess
from simdnn.images.reading import read_image
from simdnn.networks.extractor import Extractor

pytest.importorskip("onnxscript", reason="needs simdnn[export]")

from simdnn.onnx.export import export_onnx

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def packages() -> Path:
    """Folder of the example's npm packages, installed on first use."""
    folder = EXAMPLE / "node_modules"
    if not (folder / "onnxruntime-web").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed")
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts"], cwd=EXAMPLE, capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"npm cannot install onnxruntime-web: {done.stderr[-200:]}")
    return folder


@pytest.fixture(scope="module")
def site(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the example, served, and its address."""
    folder = tmp_path_factory.mktemp("site")
    for file in (*EXAMPLE.glob("*.js"), EXAMPLE / "index.html"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(packages)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(site: tuple[Path, str]) -> Iterator[Any]:
    (site[0] / "blank.html").write_text('<!doctype html><link rel="icon" href="data:,">')
    with browser() as chromium, open_page(chromium, site[1] + "blank.html", 800) as page:
        yield page


def fgsm(digits: TrainedDigits, folder: Path, number: int) -> list[Path]:
    """The clean files of some test digits, and their files attacked by FGSM at eps 0.2."""
    paths, images, labels = read_digits(digits.folder / "test")
    chosen = torch.linspace(0, len(paths) - 1, number).long()
    moved = images[chosen].clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(digits.backbone()(moved).logits, labels[chosen])
    (gradient,) = torch.autograd.grad(loss, moved)
    attacked = (moved.detach() + 0.2 * gradient.sign()).clamp(0, 1)
    files = [paths[int(i)] for i in chosen]
    for i, pixels in enumerate((attacked * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        files.append(folder / f"attacked-{i}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


def test_a_page_judges_as_the_guard_does(
    trained_digits: TrainedDigits, site: tuple[Path, str], tmp_path: Path
) -> None:
    guard = Guard.fit(
        trained_digits.folder / "train", Extractor([trained_digits.backbone()], device="cpu"), view_seed=3
    )
    export_onnx(guard, site[0] / "guard.onnx")
    files = fgsm(trained_digits, tmp_path, 10)
    torn = tmp_path / "torn.png"
    torn.write_bytes(files[0].read_bytes()[:40])
    with browser() as chromium, open_page(chromium, site[1], 800) as page:
        page.wait_for_selector("#images:enabled", timeout=120_000)
        page.set_input_files("#images", [str(file) for file in [*files, torn]])
        listed = f"document.querySelectorAll('#verdicts li').length == {len(files) + 1}"
        page.wait_for_function(listed, timeout=120_000)
        *lines, last = page.eval_on_selector_all("#verdicts li", "all => all.map(one => ({...one.dataset}))")
    expected = list(guard.check(files))
    assert {one.verdict for one in expected} == {"clean", "attack"}
    assert [line["verdict"] for line in lines] == [one.verdict for one in expected]
    assert [line["classifierLabel"] for line in lines] == [one.classifier_label for one in expected]
    scores = [one.score for one in expected if one.score is not None]
    np.testing.assert_allclose([float(line["score"]) for line in lines], scores, rtol=0, atol=1e-4)
    assert last == {"verdict": "unreadable"}


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "resize", "given"),
    [
        ((224, 224), 256, (500, 375)),
        pytest.param(
            (224, 224),
            232,
            (301, 777),
            marks=pytest.mark.skipif(
                int(PIL.__version__.split(".")[0]) < 13,
                reason="Pillow 12 resizes tall pictures in another order",
            ),
        ),
        ((32, 32), None, (91, 20)),
        ((40, 33), 41, (17, 23)),
        ((32, 32), 40, (32, 32)),
    ],
)
def test_pixels_are_those_of_pillow(
    page: Any,
    site: tuple[Path, str],
    size: tuple[int, int],
    resize: int | None,
    given: tuple[int, int],
    interpolation: str,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (given[1], given[0], 3), dtype=np.uint8)
    noise[: given[1] // 2] = 255 * (noise[: given[1] // 2] > 127)  # overshoots are cut off
    Image.fromarray(noise).save(site[0] / "noise.png")
    preprocess = Preprocess(size=size, resize=resize, interpolation=interpolation)
    found = page.evaluate(
        """async (settings) => {
            const { decode, prepare } = await import("./pixels.js");
            const file = await (await fetch("noise.png", { cache: "no-store" })).blob();
            return Array.from(prepare(await decode(file), settings));
        }""",
        preprocess.as_dict(),
    )
    expected = preprocess.pixels(read_image(site[0] / "noise.png"))
    assert np.array_equal(np.asarray(found, dtype=np.float32).reshape(expected.shape), expected)
