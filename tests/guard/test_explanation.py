"""Why a verdict came out: the data, and the picture of it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps

from simdnn.digits import IN_UNITS
from simdnn.errors import ImageReadError, InputError, OutputError
from simdnn.guard.guard import Guard
from simdnn.guard.plots import draw_explanation
from simdnn.guard.verdict import Neighbour


@pytest.fixture(scope="module")
def guard(digits: Path) -> Guard:
    return Guard.load(digits / "guard.simdnn")


@pytest.fixture(scope="module")
def image(digits: Path) -> Path:
    return min((digits / "test" / "2").iterdir())


@pytest.mark.parametrize("rule", ["similarity", "published"])
def test_the_data(guard: Guard, image: Path, rule: str) -> None:
    explanation = guard.explain(image, rule=rule)
    (verdict,) = guard.check(image, rule=rule)
    assert explanation.verdict == verdict
    assert_array_equal(explanation.image, IN_UNITS(Image.open(image).convert("RGB")).permute(1, 2, 0))
    assert [e.name for e in explanation.exemplars] == [n.exemplar for n in verdict.evidence]
    scores = explanation.calibration_scores
    assert len(scores) == guard.training.calibrated
    assert_array_equal(scores, np.sort(scores))
    if rule == "similarity":
        p_value = (1 + sum(score <= (verdict.score or 0.0) for score in scores)) / (len(scores) + 1)
        assert verdict.p_value == pytest.approx(p_value)
        assert verdict.threshold in scores
    else:
        assert_allclose(guard.threshold("published"), scores.mean() - 3 * scores.std(), atol=1e-9)


def test_pixels_are_explained_as_their_file_is(guard: Guard, image: Path) -> None:
    pixels = IN_UNITS(Image.open(image).convert("RGB"))
    by_pixels, by_file = guard.explain(pixels), guard.explain(str(image))
    digest = sha256(image.read_bytes()).hexdigest()
    assert replace(by_pixels.verdict, path=str(image), image_sha256=digest) == by_file.verdict
    assert by_pixels.verdict.path == "image"


@pytest.mark.parametrize("negative", [False, True])
def test_the_picture(guard: Guard, image: Path, tmp_path: Path, negative: bool) -> None:
    file = image
    if negative:
        file = tmp_path / "negative.png"
        ImageOps.invert(Image.open(image)).save(file)
    explanation = guard.explain(file)
    assert explanation.verdict.verdict == ("attack" if negative else "clean")
    draw_explanation(explanation, tmp_path / "why.PNG")
    with Image.open(tmp_path / "why.PNG") as picture:
        assert picture.format == "PNG"
        assert picture.size == (1200, 648)
        pixels = np.asarray(picture.convert("RGB"))
    red, green = (0xB3, 0x26, 0x1E), (0x2B, 0x7A, 0x4B)
    drawn = [(pixels == colour).all(axis=2).any() for colour in (red, green)]
    assert drawn == [negative, not negative]


def test_the_picture_says_what_the_verdict_says(guard: Guard, image: Path, tmp_path: Path) -> None:
    import matplotlib

    explanation = guard.explain(image)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw_explanation(explanation, tmp_path / "why.svg")
    drawn = (tmp_path / "why.svg").read_text()
    verdict = explanation.verdict
    for text in (
        f"clean: {verdict.label}",
        f"classifier: {verdict.classifier_label}",
        f"this image {verdict.score:.4g}, p = {verdict.p_value:.3g}",
        f"threshold {verdict.threshold:.4g}",
        f"{guard.training.calibrated} calibration images",
        *(neighbour.prototype for neighbour in verdict.evidence),
    ):
        assert text in drawn, text


def test_labels_are_no_formulas(guard: Guard, image: Path, tmp_path: Path) -> None:
    explanation = guard.explain(image)
    evidence = (Neighbour("$\\bad_{$/0", "$\\bad_{$", 0.5, "x"), *explanation.verdict.evidence[1:])
    verdict = replace(explanation.verdict, label="$\\bad_{$", evidence=evidence)
    draw_explanation(replace(explanation, verdict=verdict), tmp_path / "why.png")
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.size == (1200, 648)


def test_where_it_cannot_be_drawn(guard: Guard, image: Path, tmp_path: Path) -> None:
    explanation = guard.explain(image)
    for name in ("why", "why.xyz", "why.jpg", ".png"):
        with pytest.raises(
            InputError,
            match=rf"^expected a file that ends in \.png, \.svg, \.pdf; got {name.replace('.', '.')}$",
        ):
            draw_explanation(explanation, tmp_path / name)
    with pytest.raises(OutputError, match=r"^cannot draw to .*/nowhere/why\.png: No such file or directory$"):
        draw_explanation(explanation, tmp_path / "nowhere" / "why.png")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read(guard: Guard, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"")
    with pytest.raises(ImageReadError, match=rf"^{broken}: the file is empty$"):
        guard.explain(broken)
    with pytest.raises(ImageReadError, match="a folder"):
        guard.explain(tmp_path)
