"""No option is ignored in silence: one that does not go with the others is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Simdnn


@pytest.mark.parametrize(
    "given",
    [
        ("--weights", "w.safetensors"),
        ("--layers", "a,b"),
        ("--mean", "0,0,0"),
        ("--std", "1,1,1"),
        ("--size", 32),
        ("--resize", 32),
        ("--backbone", "vgg16"),
        ("--draws", 8),
        ("--level", "standard"),
        ("--view-seed", 0),
        ("--shuffle",),
        ("--ray",),
        ("--device", "cpu"),
        ("--workers", 1),
        ("--batch-size", 32),
        ("--max-pixels", 1000),
        ("--max-unreadable", 0.05),
        ("--cache", "c.sqlite"),
        ("--cache-limit", 1),
        ("--no-cache",),
        ("--rule", "profile"),
        ("--names", "n.csv"),
        ("--second-opinion", "s.safetensors"),
        ("--calibrate-on", "photos"),
    ],
)
def test_fitting_features_heeds_no_option_of_images(
    simdnn: Simdnn, tmp_path: Path, given: tuple[object, ...]
) -> None:
    code, out, err = simdnn("fit", "--features", tmp_path, "-o", tmp_path / "g.simdnn", *given)
    assert (code, out) == (2, "")
    assert err == (
        f"error: --features learns from features alone, with the rule similarity; leave out {given[0]}\n"
    )


@pytest.mark.parametrize(
    "given",
    [
        ("--early",),
        ("--fresh",),
        ("--weights", "w.safetensors"),
        ("--trust", "a:b"),
        ("--device", "cpu"),
        ("--ray",),
        ("--null",),
        ("--batch-size", 32),
        ("--workers", 1),
        ("--max-pixels", 1000),
        ("--audit-images", "kept"),
        ("--drift",),
        ("--delta", 0.01),
        ("--certify",),
        ("--draws", 1000),
        ("--rule", "published"),
    ],
)
def test_checking_features_heeds_no_option_of_images(
    simdnn: Simdnn, tmp_path: Path, given: tuple[object, ...]
) -> None:
    code, out, err = simdnn("check", tmp_path / "g.simdnn", "--features", tmp_path, *given)
    assert (code, out) == (2, "")
    assert err == (f"error: --features judges features alone, by the rule similarity; leave out {given[0]}\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a.png", "--draws", 1000), "--draws needs --certify, whose noisy draws they are; leave it out"),
        (("a.png", "--delta", 0.01), "--delta needs --drift, whose false alarms it bounds; leave it out"),
        (
            ("-", "--ray"),
            "--ray takes no list of paths on standard input; name image files, folders, URLs or a Parquet file",
        ),
        (
            ("a.png", "-0", "--ray"),
            "--ray takes no list of paths on standard input; name image files, folders, URLs or a Parquet file",
        ),
    ],
)
def test_what_belongs_to_another_option_is_refused_without_it(
    simdnn: Simdnn, digits: Path, given: tuple[object, ...], said: str
) -> None:
    assert simdnn("check", digits / "guard.simdnn", *given) == (2, "", f"error: {said}\n")


def test_arguments_are_named_as_the_help_names_them(simdnn: Simdnn, tmp_path: Path) -> None:
    _, _, err = simdnn("fit", tmp_path, "--features", tmp_path, "-o", tmp_path / "g.simdnn")
    assert err.endswith("leave out DATA\n")
    _, _, err = simdnn("check", tmp_path / "g.simdnn", tmp_path, "--features", tmp_path)
    assert err.endswith("leave out IMAGES\n")
