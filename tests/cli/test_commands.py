"""fit, check, explain, prototypes and info, as a user runs them one after the other."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.cli.output import lines
from tests.conftest import Simdnn
from tests.guard.alike import assert_learned_alike

from simdnn.audit.store import AuditStore
from simdnn.guard import file as guard_file
from simdnn.guard.guard import Guard

FIELDS = {
    "path",
    "verdict",
    "label",
    "classifier_label",
    "score",
    "p_value",
    "p_value_clean",
    "p_value_mixture",
    "threshold",
    "prototype",
    "opinion_class",
    "opinion",
    "certified_radius",
    "rule",
    "evidence",
    "error",
    "image_sha256",
}


@pytest.fixture
def negative(clean: Path, tmp_path: Path) -> Path:
    path = tmp_path / "negative [red].png"
    ImageOps.invert(Image.open(clean).convert("L")).save(path)
    return path


def fit(simdnn: Simdnn, digits: Path, *options: object) -> tuple[int, str, str]:
    network = (
        "--backbone",
        "simdnn.networks.digits:digits_network",
        "--size",
        32,
        "--mean",
        "0,0,0",
        "--std",
        "1,1,1",
    )
    return simdnn("fit", *network, *options)


def test_fit(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(digits / "train", data)
    (data / "4" / "zz.png").write_bytes(b"")
    code, out, err = fit(
        simdnn,
        digits,
        *("--weights", digits / "weights.safetensors", "--cache", tmp_path / "cache.sqlite"),
        *(data, "-o", tmp_path / "g.simdnn", "--rule", "similarity"),
    )
    made, usual = Guard.load(tmp_path / "g.simdnn"), Guard.load(digits / "guard.simdnn")
    n = len(usual.model.prototypes)
    assert (code, err) == (0, f"skipped, not readable: {data}/4/zz.png\n")
    assert out.splitlines() == [
        f"learned {n} prototypes of 10 classes from 480 images; 119 more calibrate the threshold",
        "calibrated on images of that folder; if the network was trained on these, unseen images are flagged more "
        "often than promised: --calibrate-on takes images that it has not seen",
        f"wrote {tmp_path}/g.simdnn",
    ]
    assert_learned_alike(made, usual)
    assert (tmp_path / "cache.sqlite").stat().st_size > 599 * 96 * 4


def test_fit_of_several_networks_with_layers(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for digit in "01":
        shutil.copytree(digits / "train" / digit, few / digit)
    weights = ("--weights", digits / "weights.safetensors") * 2
    second = ("--backbone", "simdnn.networks.digits:digits_network")
    layers = ("--layers", "features.2,penultimate", "--layers", "features.8")
    options = ("--alpha", 0.1, "--rule", "published", "--shuffle", "--seed", 5, "--no-cache")
    output = tmp_path / "g.simdnn"
    code, _, err = fit(simdnn, digits, *second, *weights, *layers, *options, few, "-o", output)
    assert (code, err) == (0, "")
    guard = Guard.load(output)
    assert [record.spec.layers for record in guard.networks] == [
        ("features.2", "penultimate"),
        ("features.8",),
    ]
    assert guard.model.prototypes.n_features == 16 + 96 + 64
    assert (guard.settings.rule, guard.settings.alpha, guard.training.seed) == ("published", 0.1, 5)
    assert simdnn("check", output, min((few / "0").iterdir()), *weights)[0] == 0


def test_fit_stops_at_too_many_unreadable_files(simdnn: Simdnn, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "few" / "0").mkdir(parents=True)
    for number in range(95):
        (tmp_path / "few" / "0" / f"{number}.png").write_bytes(b"")
    output = tmp_path / "g.simdnn"
    code, out, err = fit(simdnn, digits, "--no-cache", tmp_path / "few", "-o", output)
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: 95 of 95 files cannot be read, more than the 5% allowed; remove them or allow more."
    )
    assert not output.exists()


def test_check(simdnn: Simdnn, guard: Path, clean: Path, negative: Path) -> None:
    code, out, err = simdnn("check", guard, clean, negative)
    first, second, last = out.splitlines()
    assert (code, err) == (0, "")
    good, bad = Guard.load(guard).check([clean, negative])
    assert first == (
        f"clean   {clean}: {good.label}, as {good.prototype} "
        f"(score {good.score:.4g}, threshold {good.threshold:.4g}, p = {good.p_value:.3g})"
    )
    assert second == (
        f"attack  {negative}: looks like {bad.label}, as the classifier says "
        f"(score {bad.score:.4g}, threshold {bad.threshold:.4g}, p = {bad.p_value:.3g})"
    )
    assert last == "1 clean, 1 possible attacks, 0 not readable"


def test_check_as_json(simdnn: Simdnn, guard: Path, clean: Path, negative: Path, broken: Path) -> None:
    code, out, err = simdnn("check", guard, broken, negative, clean, "--json")
    assert (code, err) == (1, "")
    rows = lines(out)
    assert rows == [
        json.loads(json.dumps(v.as_dict())) for v in Guard.load(guard).check([broken, negative, clean])
    ]
    assert all(set(row) == FIELDS for row in rows)
    assert [row["verdict"] for row in rows] == ["error", "attack", "clean"]
    assert rows[0]["error"] == "the file is empty"
    assert (rows[0]["score"], rows[0]["label"]) == (None, None)
    assert rows[1]["score"] < rows[1]["threshold"] == rows[2]["threshold"] <= rows[2]["score"]
    assert rows[1]["p_value"] <= 0.05 < rows[2]["p_value"]


@pytest.mark.parametrize(
    ("images", "options", "status"),
    [
        (["clean"], [], 0),
        (["clean", "negative"], [], 0),
        (["clean", "broken"], [], 1),
        (["broken"], ["--fail-on-attack"], 1),
        (["clean"], ["--fail-on-attack"], 0),
        (["clean", "negative"], ["--fail-on-attack"], 3),
        (["broken", "negative"], ["--fail-on-attack", "--json"], 3),
        (["broken", "negative"], ["--json"], 1),
    ],
)
def test_exit_status(
    simdnn: Simdnn,
    guard: Path,
    request: pytest.FixtureRequest,
    images: list[str],
    options: list[str],
    status: int,
) -> None:
    assert simdnn("check", guard, *map(request.getfixturevalue, images), *options)[0] == status


def test_check_by_another_rule_or_rate(simdnn: Simdnn, guard: Path, digits: Path) -> None:
    folder = digits / "test" / "8"
    (row, *_) = lines(simdnn("check", guard, folder, "--json", "--rule", "published")[1])
    assert (row["rule"], row["p_value"]) == ("published", None)
    usual, lax = (
        lines(simdnn("check", guard, folder, "--json", "--alpha", alpha)[1]) for alpha in (0.05, 0.5)
    )
    assert [row["p_value"] for row in usual] == [row["p_value"] for row in lax]
    assert [row["verdict"] == "attack" for row in lax] == [row["p_value"] <= 0.5 for row in lax]
    out = simdnn("check", guard, folder, "--rule", "published")[1]
    assert "p = " not in out


def test_check_with_a_threshold_for_each_class(simdnn: Simdnn, guard: Path, digits: Path) -> None:
    folder = digits / "test" / "8"
    code, out, _ = simdnn("check", guard, folder, "--json", "--per-class", "--alpha", 0.3)
    rows = lines(out)
    assert code == 0
    assert len({row["threshold"] for row in rows}) == len({row["label"] for row in rows}) > 1
    assert [row["verdict"] == "attack" for row in rows] == [row["p_value"] <= 0.3 for row in rows]
    code, _, err = simdnn("check", guard, folder, "--per-class", "--alpha", 0.001)
    assert (code, "class 0: " in err, "give at least 999" in err) == (2, True, True)


def test_a_stream_that_changes(
    simdnn: Simdnn, guard: Path, digits: Path, broken: Path, tmp_path: Path
) -> None:
    clean = sorted((digits / "test").glob("*/*"))
    np.random.default_rng(0).shuffle(clean)  # a stream does not come sorted by class
    clean = clean[:150]
    assert "\nno drift: " in simdnn("check", guard, *clean, "--drift")[1]
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in (digits / "test" / "5").iterdir():
        ImageOps.invert(Image.open(file).convert("L")).save(changed / file.name)
    out = simdnn("check", guard, *clean, broken, changed, "--drift")[1]
    told = [line for line in out.splitlines() if line.startswith("drift alarm at image ")]
    assert 150 < int(told[0].split(":")[0].rsplit(" ", 1)[1]) < 180
    rows = lines(simdnn("check", guard, *clean, broken, changed, "--drift", "--json")[1])
    assert ["drift" in row for row in rows] == [row["verdict"] != "error" for row in rows]
    assert rows[-1]["drift"]["alarm"] is True
    assert rows[0]["drift"]["alarm"] is False
    code, _, err = simdnn("check", guard, *clean, "--drift", "--delta", 2)
    assert (code, "delta" in err) == (2, True)


def test_check_records_what_it_flags(
    simdnn: Simdnn, guard: Path, clean: Path, negative: Path, broken: Path, tmp_path: Path
) -> None:
    audit, images = tmp_path / "audit.db", tmp_path / "kept"
    code, _, err = simdnn("check", guard, clean, negative, broken, "--audit", audit, "--audit-images", images)
    assert (code, err) == (1, "")
    with AuditStore.open(audit, images=images) as store:
        (record,) = store.records()
        assert store.image(record) == negative.read_bytes()
    assert (record.path, record.verdict) == (str(negative), "attack")
    assert record.model_id == Guard.load(guard).model_id
    assert str(negative) in simdnn("audit", audit, "list")[1]


def test_names_that_would_write_to_the_screen(
    simdnn: Simdnn, guard: Path, clean: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"caf\xe9.png", b"two\nlines.png", b"\x1b[2J.png", b"[bold]x.png"):
        shutil.copy(clean, folder / os.fsdecode(name))
    code, out, err = simdnn("check", guard, folder)
    assert (code, err) == (0, "")
    names = [line.split("/odd/")[1].split(":")[0] for line in out.splitlines()[:-1]]
    assert names == ["\\x1b[2J.png", "[bold]x.png", "caf\\udce9.png", "two\\nlines.png"]
    assert "\x1b" not in out
    rows = lines(simdnn("check", guard, folder, "--json")[1])
    assert [Path(row["path"]).exists() for row in rows] == [True] * 4


def test_explain(simdnn: Simdnn, guard: Path, negative: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.png"
    code, out, err = simdnn("explain", guard, negative, "-o", picture)
    assert (code, err) == (0, "")
    explanation = Guard.load(guard).explain(negative)
    verdict = explanation.verdict
    assert out.splitlines() == [
        f"attack: score {verdict.score:.4g}, threshold {verdict.threshold:.4g}, rule similarity",
        *(f"  {n.similarity:.4f} {n.prototype} (shown by {n.exemplar})" for n in verdict.evidence),
        f"wrote {picture}",
    ]
    with Image.open(picture) as drawn:
        assert drawn.size == (1200, 648)
    code, out, _ = simdnn("explain", guard, negative, "-o", tmp_path / "why.svg", "--json", "--alpha", 0.5)
    assert (code, lines(out)[0]["path"]) == (0, str(negative))
    assert lines(out)[0]["threshold"] > (verdict.threshold or 0)


def test_explain_what_cannot_be_read(simdnn: Simdnn, guard: Path, broken: Path, tmp_path: Path) -> None:
    picture = tmp_path / "why.png"
    assert simdnn("explain", guard, broken, "-o", picture) == (2, "", f"error: {broken}: the file is empty\n")
    assert not picture.exists()


def test_info(simdnn: Simdnn, guard: Path, digits: Path) -> None:
    loaded = Guard.load(guard)
    code, out, err = simdnn("info", guard, "--json")
    (facts,) = lines(out)
    assert (code, err) == (0, "")
    assert facts["model_id"] == loaded.model_id
    assert facts["classes"] == list("0123456789")
    assert facts["networks"][0]["spec"] == json.loads(json.dumps(asdict(loaded.networks[0].spec)))
    assert facts["networks"][0]["weights_hash"] == loaded.networks[0].weights_hash
    assert (facts["learned"], facts["calibrated"], facts["unreadable"]) == (480, 119, [])
    assert facts["threshold"] == loaded.threshold()

    code, out, err = simdnn("info", guard)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"model id     {loaded.model_id}",
        "network      simdnn.networks.digits:digits_network",
        "layers       penultimate",
        f"weights      {digits}/weights.safetensors",
        f"             SHA-256 {loaded.networks[0].weights_hash}",
        "images       whole image 32 x 32, bilinear",
        "             mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0]",
        "classes      10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        f"prototypes   {len(loaded.model.prototypes)}, sigma shared",
        f"rule         similarity, alpha 0.05, threshold {loaded.threshold():.4g}",
        f"fitted on    {digits}/train, {loaded.training.created}, seed 0",
        "             480 learned, 119 calibrate, 0 not readable",
    ]


def test_looking_needs_no_weights(simdnn: Simdnn, guard: Path, clean: Path, digits: Path) -> None:
    header, tensors = guard_file.read(guard)
    header["networks"][0]["spec"]["weights"] = "/gone.safetensors"
    guard_file.write(guard, header, tensors)
    assert simdnn("info", guard)[0] == 0
    assert simdnn("prototypes", guard, "list")[0] == 0
    assert simdnn("prototypes", guard, "remove", "0/0")[0] == 0
    code, _, err = simdnn("check", guard, clean)
    assert (code, err.count("\n")) == (2, 1)
    assert "expected in /gone.safetensors, which is no file; say where they are now: --weights FILE" in err
    assert simdnn("check", guard, clean, "--weights", digits / "weights.safetensors")[0] == 0


def test_a_strangers_network_needs_trust(
    simdnn: Simdnn, guard: Path, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stranger_net.py").write_text("from simdnn.digits import digits_network as made\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    header, tensors = guard_file.read(guard)
    header["networks"][0]["spec"]["name"] = "stranger_net:made"
    guard_file.write(guard, header, tensors)
    code, out, err = simdnn("check", guard, clean)
    assert (code, out) == (2, "")
    assert "whose code would run; if you trust it, say so: --trust stranger_net:made" in err
    assert simdnn("check", guard, clean, "--trust", "stranger_net:made")[0] == 0
