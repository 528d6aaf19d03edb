"""Guards by ONNX Runtime against the same guards by PyTorch, on clean and on attacked digits."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import Simdnn
from tests.noisy_digits import noisy_auxiliary
from tests.trained_digits import TrainedDigits

from simdnn.digits import read_digits
from simdnn.errors import InputError, ModelFileError
from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.networks.auxiliary import AuxiliaryNetwork
from simdnn.networks.extractor import Extractor
from simdnn.onnx.file import is_exported

pytest.importorskip("onnxscript", reason="needs simdnn[export]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs simdnn[onnx]")

from simdnn.onnx.export import export_onnx  # noqa: E402
from simdnn.onnx.guard import load_onnx  # noqa: E402

BLOCKED = ("torch", "torchvision", "sklearn", "scipy", "numba", "joblib", "matplotlib", "onnx", "onnxscript")

WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from simdnn.cli import main
main()
"""


@pytest.fixture(scope="module")
def files(trained_digits: TrainedDigits, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """600 clean and attacked digits; FGSM at eps 0.2."""
    folder = tmp_path_factory.mktemp("attacked")
    clean, images, labels = read_digits(trained_digits.folder / "test")
    backbone = trained_digits.backbone()
    chosen = torch.arange(0, len(clean), 2)
    moved = images[chosen].clone().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(backbone(moved).logits, labels[chosen])
    (gradient,) = torch.autograd.grad(loss, moved)
    attacked = (moved.detach() + 0.2 * gradient.sign()).clamp(0, 1)
    paths = []
    for i, pixels in enumerate((attacked * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        paths.append(folder / f"{i:03}.png")
        Image.fromarray(pixels).save(paths[-1])
    return [*sorted((trained_digits.folder / "test").glob("*/*"))[::2], *paths]


@pytest.fixture(scope="module")
def profile(trained_digits: TrainedDigits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Guard, Path]:
    guard = Guard.fit(trained_digits.folder / "train", extractor(trained_digits), view_seed=3)
    return exported(guard, tmp_path_factory)


@pytest.fixture(scope="module")
def hardened(trained_digits: TrainedDigits, tmp_path_factory: pytest.TempPathFactory) -> tuple[Guard, Path]:
    torch.set_num_threads(1)
    both = Extractor(
        [trained_digits.backbone()], auxiliary=noisy_auxiliary(trained_digits.folder), device="cpu"
    )
    guard = Guard.fit(trained_digits.folder / "train", both, view_seed=3, alpha=0.1, draws=8)
    return exported(guard, tmp_path_factory)


def extractor(digits: TrainedDigits) -> Extractor:
    return Extractor([digits.backbone()], device="cpu")


def exported(guard: Guard, folders: pytest.TempPathFactory) -> tuple[Guard, Path]:
    path = folders.mktemp("exported") / "guard.onnx"
    export_onnx(guard, path)
    return guard, path


def assert_equal(found: list[Verdict], expected: list[Verdict]) -> None:
    assert [one.verdict for one in found] == [one.verdict for one in expected]
    assert [one.label for one in found] == [one.label for one in expected]
    assert [one.image_sha256 for one in found] == [one.image_sha256 for one in expected]
    np.testing.assert_allclose(
        [one.score or 0.0 for one in found], [one.score or 0.0 for one in expected], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("rule", [None, "similarity", "published"])
def test_verdicts_are_those_of_pytorch(
    profile: tuple[Guard, Path], files: list[Path], rule: str | None
) -> None:
    guard, path = profile
    again = load_onnx(path)
    assert again.model_id == guard.model_id
    expected = list(guard.check(files, rule=rule))
    assert_equal(list(again.check(files, rule=rule)), expected)
    if rule is None:
        assert len(files) == 600
        assert {one.verdict for one in expected} == {"clean", "attack"}


def test_score_and_decision_in_the_graph_are_those_of_the_rule(
    profile: tuple[Guard, Path], files: list[Path]
) -> None:
    guard, path = profile
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known["simdnn.threshold"]) == guard.threshold()
    assert json.loads(known["simdnn.preprocess"])[0]["size"] == [32, 32]
    assert len(json.loads(known["simdnn.calibration_scores"])) == len(guard.calibration)
    preprocess = guard.networks[0].spec.preprocess
    pixels = np.stack([preprocess.pixels(Image.open(file).convert("RGB")) for file in files[::5]])
    score, attack = session.run(["score", "attack"], {"images": pixels})
    expected = list(guard.check(files[::5]))
    np.testing.assert_allclose(score, [one.score or 0.0 for one in expected], rtol=0, atol=1e-4)
    assert attack.tolist() == [one.verdict == "attack" for one in expected]
    (one,) = session.run(["score"], {"images": pixels[:1]})
    assert one[0] == pytest.approx(score[0], abs=1e-5)


def test_a_second_opinion_is_exported_with_its_draws_and_radii(
    hardened: tuple[Guard, Path], files: list[Path]
) -> None:
    guard, path = hardened
    again, some = load_onnx(path), files[::10]
    expected = list(guard.check(some, certify=50))
    found = list(again.check(some, certify=50))
    assert_equal(found, expected)
    assert [one.opinion for one in found] == [one.opinion for one in expected]
    assert [one.certified_radius for one in found] == [one.certified_radius for one in expected]
    assert max(one.certified_radius or 0.0 for one in found) > 0
    early = list(again.check(some, early=True))
    assert [one.verdict for one in early] == [one.verdict for one in expected]


def test_reductions_that_are_no_means_are_exported(hardened: tuple[Guard, Path]) -> None:
    from simdnn.networks.reduction import reduced
    from simdnn.onnx.modules import VoterGraph

    auxiliary = hardened[0].extractor.auxiliary
    assert auxiliary is not None
    graph = VoterGraph(auxiliary, (41, 30))
    image = torch.rand(1, 3, 41, 30, generator=torch.Generator().manual_seed(0))
    small = reduced(image, auxiliary.spec.side)
    torch.testing.assert_close(graph.rows @ image @ graph.columns, small, rtol=0, atol=1e-6)


def test_an_auxiliary_network_that_enlarges_is_exported(
    trained_digits: TrainedDigits, files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain = noisy_auxiliary(trained_digits.folder)
    pooled = torch.nn.Sequential(torch.nn.AvgPool2d(2), plain.network)
    enlarging = AuxiliaryNetwork(pooled, replace(plain.spec, network_side=2 * plain.spec.side)).frozen()
    both = Extractor([trained_digits.backbone()], auxiliary=enlarging, device="cpu")
    guard = Guard.fit(
        trained_digits.folder / "train", both, rule="second-opinion", view_seed=3, alpha=0.1, draws=8
    )
    _, path = exported(guard, tmp_path_factory)
    found, expected = (list(one.check(files[::10])) for one in (load_onnx(path), guard))
    assert [one.opinion for one in found] == [one.opinion for one in expected]
    assert len({one.opinion for one in expected}) > 2


def test_check_runs_where_pytorch_is_not_installed(
    hardened: tuple[Guard, Path], files: list[Path], tmp_path: Path
) -> None:
    guard, path = hardened
    some = files[::12]
    arguments = ["check", str(path), *map(str, some), "--json", "--audit", str(tmp_path / "audit.sqlite")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expected = list(guard.check(some))
    assert [line["verdict"] for line in lines] == [one.verdict for one in expected]
    np.testing.assert_allclose(
        [line["score"] for line in lines], [one.score or 0.0 for one in expected], rtol=0, atol=1e-4
    )
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT, "check", str(path), str(some[0]), "--certify"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, "simdnn[torch]" in told.stderr) == (2, True)


def test_the_command_writes_it_and_others_refuse_it(
    profile: tuple[Guard, Path], digits: Path, simdnn: Simdnn, tmp_path: Path, files: list[Path]
) -> None:
    status, out, err = simdnn("export", digits / "guard.simdnn", "-o", tmp_path / "g.onnx")
    assert (status, err) == (0, "")
    assert "g.onnx" in out
    assert is_exported(tmp_path / "g.onnx")
    assert not is_exported(digits / "guard.simdnn")
    assert (tmp_path / "g.onnx").stat().st_mode & 0o777 == 0o600
    status, out, _ = simdnn("check", tmp_path / "g.onnx", files[0], "--json")
    assert status == 0
    status, _, err = simdnn("calibrate", tmp_path / "g.onnx", digits / "test", "-o", tmp_path / "h.simdnn")
    assert status == 2
    assert "give the guard file that `simdnn fit` wrote" in err
    status, _, err = simdnn("check", tmp_path / "g.onnx", files[0], "--weights", "w.safetensors")
    assert (status, "leave out --weights" in err) == (2, True)
    status, _, err = simdnn("check", tmp_path / "g.onnx", files[0], "--device", "mps")
    assert (status, "expected a device that this ONNX Runtime has" in err) == (2, True)
    with pytest.raises(InputError, match="got one from an ONNX file"):
        _ = load_onnx(profile[1]).classifier


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_an_altered_file_is_refused(profile: tuple[Guard, Path], tmp_path: Path, place: float) -> None:
    raw = bytearray(profile[1].read_bytes())
    raw[int(place * len(raw))] ^= 1
    (tmp_path / "altered.onnx").write_bytes(raw)
    with pytest.raises(ModelFileError, match="does not match its digest"):
        load_onnx(tmp_path / "altered.onnx")
    (tmp_path / "cut.onnx").write_bytes(raw[:-3])
    with pytest.raises(ModelFileError, match="truncated, or no file that `simdnn export` wrote"):
        load_onnx(tmp_path / "cut.onnx")
    with pytest.raises(ModelFileError, match="cannot read the guard"):
        load_onnx(tmp_path / "absent.onnx")


def test_pixels_are_explained(profile: tuple[Guard, Path], files: list[Path]) -> None:
    guard, path = profile
    found, expected = load_onnx(path).explain(files[0]), guard.explain(files[0])
    assert np.array_equal(found.image, expected.image)
    assert found.deviations == pytest.approx(expected.deviations, abs=1e-4)
