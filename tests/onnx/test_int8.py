"""Guards with 8-bit networks: what the file holds, what is measured, and what is refused."""

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
from tests.onnx.test_equality import WITHOUT
from tests.trained_digits import TrainedDigits

from simdnn.errors import InputError
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor

onnx = pytest.importorskip("onnx", reason="needs simdnn[export]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs simdnn[onnx]")
pytest.importorskip("secmlt", reason="needs simdnn[lab]")

from simdnn.evaluation.int8 import Int8Loss, export_int8  # noqa: E402
from simdnn.evaluation.promise import Promise  # noqa: E402
from simdnn.onnx.export import export_onnx  # noqa: E402
from simdnn.onnx.guard import load_onnx  # noqa: E402

Exported = tuple[Guard, Path, Int8Loss]


@pytest.fixture(scope="module")
def guard(trained_digits: TrainedDigits) -> Guard:
    return Guard.fit(
        trained_digits.folder / "train", Extractor([trained_digits.backbone()], device="cpu"), view_seed=3
    )


@pytest.fixture(scope="module")
def exported(
    guard: Guard, trained_digits: TrainedDigits, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    path = tmp_path_factory.mktemp("int8") / "guard.onnx"
    return guard, path, export_int8(guard, trained_digits.folder / "test", path, eps=0.2)


def test_the_images_are_split_and_both_guards_measured(exported: Exported) -> None:
    _, path, loss = exported
    assert (loss.ranges, loss.calibrated, loss.clean) == (100, 250, 249)
    assert loss.attacked > 100
    assert loss.agreement.value > 0.95
    for one in (loss.before, loss.after):
        assert one.promise is not None
        assert not one.promise.contradicted
        assert one.flagged.value < 0.15
        assert one.detected is not None
        assert one.detected.value > 0.9
        assert one.auroc is not None
        assert one.auroc.value > 0.95
    known = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(known["simdnn.int8"])["agreement"] == list(loss.agreement)


def test_the_networks_are_quantised_and_the_decision_is_not(exported: Exported, tmp_path: Path) -> None:
    guard, path, _ = exported
    export_onnx(guard, tmp_path / "whole.onnx")
    before, after = (onnx.load(one).graph for one in (tmp_path / "whole.onnx", path))
    assert not any(node.op_type == "QuantizeLinear" for node in before.node)
    assert any(node.op_type == "QuantizeLinear" for node in after.node)
    layers = [node for node in before.node if node.op_type in ("Conv", "Gemm")]
    weights = [one for one in after.initializer if one.name.endswith("weight_quantized")]
    assert len(weights) == len(layers) > 0
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    made_by = {output: node for node in after.node for output in node.output}
    networks, wanted = set(), ["features", "logits"]
    while wanted:
        name = wanted.pop()
        if name in made_by and name not in networks:
            networks |= set(made_by[name].output)
            wanted += made_by[name].input
    decision = [node for node in after.node if not networks & set(node.output)]
    assert {"Less", "Log"} <= {node.op_type for node in decision}
    assert not any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in decision)


def test_it_decides_by_a_threshold_of_its_own_everywhere(
    exported: Exported, trained_digits: TrainedDigits
) -> None:
    guard, path, loss = exported
    small = load_onnx(path)
    assert small.threshold() == loss.after.threshold != guard.threshold()
    assert small.model_id != guard.model_id
    assert small.training.calibrated_on.endswith("test")
    assert [p.id for p in small.model.prototypes] == [p.id for p in guard.model.prototypes]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["simdnn.threshold"]) == small.threshold()
    files = sorted((trained_digits.folder / "test").glob("*/*"))
    verdicts = list(small.check(files))
    assert {one.verdict for one in verdicts} == {"clean", "attack"}
    preprocess = guard.networks[0].spec.preprocess
    pixels = np.stack([preprocess.pixels(Image.open(file).convert("RGB")) for file in files])
    score, attack = session.run(["score", "attack"], {"images": pixels})
    np.testing.assert_allclose(score, [one.score or 0.0 for one in verdicts], rtol=0, atol=1e-3)
    sure = np.abs(score - small.threshold()) > 1e-3
    assert attack[sure].tolist() == [one.verdict == "attack" for one in np.array(verdicts)[sure]]


def test_a_second_opinion_stays_as_it_is(trained_digits: TrainedDigits, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    both = Extractor(
        [trained_digits.backbone()], auxiliary=noisy_auxiliary(trained_digits.folder), device="cpu"
    )
    guard = Guard.fit(trained_digits.folder / "train", both, view_seed=3, alpha=0.1, draws=4)
    loss = export_int8(guard, trained_digits.folder / "test", tmp_path / "guard.onnx", eps=0.2)
    assert loss.after.promise is not None
    files = sorted((trained_digits.folder / "test").glob("*/*"))[::20]
    found, expected = list(load_onnx(tmp_path / "guard.onnx").check(files)), list(guard.check(files))
    alike = [
        a.opinion == b.opinion
        for a, b in zip(found, expected, strict=True)
        if a.opinion_class == b.opinion_class
    ]
    assert all(alike)
    assert len(alike) > 0.9 * len(files)


def test_a_broken_promise_is_refused(
    exported: Exported, trained_digits: TrainedDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, _, loss = exported
    assert loss.after.promise is not None
    most = loss.after.promise.most
    for flagged in (most, most + 1):
        promise = Promise.test(0.05, 250, 249, flagged)
        one = replace(loss, after=replace(loss.after, promise=promise))
        if flagged == most:
            one.check_promise()
        else:
            told = rf"{flagged} of 249 clean images are flagged, by the promise of 5 % at most {most}"
            with pytest.raises(InputError, match=told):
                one.check_promise()

    def contradicted(alpha: float, calibrated: int, n: int, flagged: int) -> Promise:
        return Promise(alpha, calibrated, n, flagged, 0.0, 0, True)

    monkeypatch.setattr(Promise, "test", contradicted)
    files = sorted((trained_digits.folder / "test").glob("*/*"))[::10]
    listed = tmp_path / "few.csv"
    listed.write_text("\n".join(["path", *map(str, files)]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="nothing was written"):
        export_int8(guard, listed, tmp_path / "guard.onnx")
    assert list(tmp_path.iterdir()) == [listed]


def test_the_command_tells_what_is_lost(digits: Path, simdnn: Simdnn, tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    status, out, err = simdnn("export", digits / "guard.simdnn", "-o", path, "--int8", digits / "test")
    assert (status, err) == (0, "")
    for told in ("clean images flagged", "attacked images flagged", "AUROC", "classify", "not contradicted"):
        assert told in out
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "check", str(path), str(digits / "test" / "3"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["label"] for one in verdicts if one["verdict"] == "clean"} >= {"3"}
    few = digits / "test" / "0"
    n = len(list(few.iterdir()))
    for image in sorted(few.iterdir())[:40]:
        (tmp_path / "few").mkdir(exist_ok=True)
        (tmp_path / "few" / image.name).symlink_to(image)
    assert n > 40
    status, _, err = simdnn("export", digits / "guard.simdnn", "-o", path, "--int8", tmp_path / "few")
    assert (status, "expected at least 48 photographs, of which 19 calibrate" in err) == (2, True)
