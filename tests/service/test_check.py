"""Images in, verdicts out."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.service.conftest import Service, Start

from simdnn.guard.guard import Guard
from simdnn.images.preprocess import Preprocess

TRUST = ["simdnn.networks.digits:digits_network"]


def as_checked(guard: Path, image: Path, **asked: Any) -> dict[str, Any]:
    """What `simdnn check --json` says, without the path."""
    (verdict,) = Guard.load(guard, trust=TRUST).check([image], **asked)
    return {
        k: v for k, v in replace(verdict, path="").as_dict().items() if k not in ("path", "score", "p_value")
    }


def the_rest(reply: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in reply.items() if k not in ("path", "score", "p_value", "model_id", "record")}


@pytest.mark.parametrize("way", ["raw", "octets", "form"])
def test_one_image_is_judged_as_by_the_command(
    service: Service, digits: Path, picture: bytes, way: str
) -> None:
    image = min((digits / "test" / "3").glob("*.png"))
    ways: dict[str, dict[str, Any]] = {
        "raw": {"content": picture, "headers": {"Content-Type": "image/png"}},
        "octets": {"content": picture, "headers": {"Content-Type": "application/octet-stream"}},
        "form": {"files": {"image": ("a/b\x1b[2J.png", picture, "image/png")}},
    }
    content = ways[way]
    headers: dict[str, str] = service.checker | content.pop("headers", {})
    reply = service.client.post("/v1/check", headers=headers, **content)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert {"evidence": body["evidence"]} | the_rest(body) == the_rest(body)
    expected = as_checked(digits / "guard.simdnn", image)
    body_rest = the_rest(body)
    for name in ("verdict", "label", "classifier_label", "prototype", "rule", "image_sha256", "error"):
        assert body_rest[name] == expected[name]
    assert body["model_id"] == Guard.read(digits / "guard.simdnn").model_id
    assert body["path"] == ("b?[2J.png" if way == "form" else "image")


def test_one_bad_part_spoils_no_other(service: Service, picture: bytes) -> None:
    contents = [picture, b"", b"no image", picture[:200], picture]
    parts = [("image", (f"{i}.png", data)) for i, data in enumerate(contents)]
    reply = service.client.post("/v1/check/batch", files=parts, headers=service.checker)
    assert reply.status_code == 200, reply.text
    verdicts = reply.json()["verdicts"]
    assert [v["verdict"] for v in verdicts] == ["clean", "error", "error", "error", "clean"]
    assert [v["path"] for v in verdicts] == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    assert verdicts[1]["error"] == "the file is empty"


def test_a_request_larger_than_a_batch_is_split(start: Start, digits: Path) -> None:
    service = start(max_batch=4)
    images = sorted((digits / "test").rglob("*.png"))[:30]
    parts = [("image", (image.name, image.read_bytes())) for image in images]
    reply = service.client.post("/v1/check/batch", files=parts, headers=service.checker)
    expected = {v.path: v for v in Guard.load(digits / "guard.simdnn", trust=TRUST).check(images)}
    for image, verdict in zip(images, reply.json()["verdicts"], strict=True):
        assert verdict["path"] == image.name
        assert verdict["verdict"] == expected[str(image)].verdict
        assert verdict["score"] == pytest.approx(expected[str(image)].score, rel=1e-4)


def test_flagged_images_are_on_disk_when_they_are_answered(service: Service, odd_picture: bytes) -> None:
    reply = service.client.post("/v1/check", files={"image": odd_picture}, headers=service.checker).json()
    assert reply["verdict"] == "attack"
    found = service.client.get(f"/v1/audit/{reply['record']}", headers=service.auditor).json()
    assert found["image_sha256"] == reply["image_sha256"]
    assert found["model_id"] == reply["model_id"]
    assert found["token"] == "a-checker"
    assert service.client.get("/v1/audit/99", headers=service.auditor).status_code == 404


def test_clean_images_are_recorded_where_that_is_asked_for(start: Start, picture: bytes) -> None:
    service = start(record_all=True)
    for i in range(1, 4):
        assert (
            service.client.post("/v1/check", files={"image": picture}, headers=service.checker).json()[
                "record"
            ]
            == i
        )
    page = service.client.get("/v1/audit?limit=2", headers=service.auditor).json()
    assert [record["id"] for record in page["records"]] == [3, 2]
    page = service.client.get(f"/v1/audit?limit=2&cursor={page['next']}", headers=service.auditor).json()
    assert [record["id"] for record in page["records"]] == [1]
    assert page["next"] is None


def test_rule_and_false_alarm_rate_are_those_of_the_request(service: Service, picture: bytes) -> None:
    def ask(**params: Any) -> dict[str, Any]:
        files = {"image": picture}
        reply: dict[str, Any] = service.client.post(
            "/v1/check", files=files, params=params, headers=service.checker
        ).json()
        return reply

    own, strict, published = ask(), ask(alpha=0.5), ask(rule="published")
    assert own["rule"] == strict["rule"] == "similarity"
    assert strict["threshold"] > own["threshold"]
    assert strict["score"] == pytest.approx(own["score"])
    assert (published["rule"], published["p_value"]) == ("published", None)


def test_open_inference_protocol(service: Service, picture: bytes, digits: Path) -> None:
    client, headers = service.client, service.checker
    assert client.get("/v2").json()["name"] == "simdnn"
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    described = client.get("/v2/models/guard", headers=headers).json()
    assert described["inputs"][1] == {"name": "pixels", "datatype": "FP32", "shape": [-1, 3, 32, 32]}
    assert client.get("/v2/models/guard/ready", headers=headers).status_code == 200
    assert client.get("/v2/models/other", headers=headers).status_code == 404
    file = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(picture).decode()]}
    body: dict[str, Any] = {"id": "42", "inputs": [file]}
    by_file = client.post("/v2/models/guard/infer", json=body, headers=headers)
    assert by_file.status_code == 200, by_file.text
    assert by_file.json()["id"] == "42"
    path = min((digits / "test" / "3").glob("*.png"))
    pixels = Preprocess(size=(32, 32), resize=None)(Image.open(path).convert("RGB"))
    tensor = {
        "name": "pixels",
        "datatype": "FP32",
        "shape": [2, 3, 32, 32],
        "data": pixels.flatten().tolist() * 2,
    }
    by_pixels = client.post("/v2/models/guard/infer", json={"inputs": [tensor]}, headers=headers).json()
    levels = {
        "name": "pixels",
        "datatype": "UINT8",
        "shape": [1, 3, 32, 32],
        "data": (pixels * 255).int().tolist(),
    }
    levels["data"] = [levels["data"]]
    by_levels = client.post(
        "/v2/models/guard/infer",
        json={"inputs": [levels], "outputs": [{"name": "score"}], "parameters": {"rule": "similarity"}},
        headers=headers,
    ).json()
    replies = (by_file.json(), by_pixels, by_levels)
    by_name = [{out["name"]: out["data"] for out in reply["outputs"]} for reply in replies]
    assert by_name[0]["verdict"] == ["clean"]
    assert by_name[1]["verdict"] == ["clean", "clean"]
    assert by_name[1]["score"] == pytest.approx(by_name[0]["score"] * 2, rel=1e-4)
    assert by_name[2] == {"score": pytest.approx(by_name[0]["score"], rel=1e-4)}
    assert "id" not in by_pixels


def test_model_and_prototypes(service: Service) -> None:
    as_checker = service.client.get("/v1/model", headers=service.checker).json()
    assert as_checker["classes"] == [str(i) for i in range(10)]
    assert as_checker["facts"] is None
    facts = service.client.get("/v1/model", headers=service.auditor).json()["facts"]
    assert facts["learned"] > 0
    found = service.client.get("/v1/prototypes?label=3", headers=service.auditor).json()["prototypes"]
    assert found
    assert {one["label"] for one in found} == {"3"}
    assert service.client.get("/v1/prototypes", headers=service.checker).status_code == 403


def test_metrics_have_the_names_that_dashboards_use(service: Service, picture: bytes) -> None:
    service.client.post("/v1/check", files={"image": picture}, headers=service.checker)
    assert service.client.get("/metrics").status_code == 401
    text = service.client.get("/metrics", headers=service.checker).text
    model_id = service.state.pipeline.model().id
    for line in (
        'simdnn_checks_total{verdict="clean"} 1.0',
        'simdnn_checks_total{verdict="attack"} 0.0',
        "simdnn_check_duration_seconds_count 1.0",
        'simdnn_batch_size_bucket{le="1.0"} 1.0',
        "simdnn_queue_length 0.0",
        "simdnn_flagged_share 0.0",
        "simdnn_drift_log_martingale ",
        f'simdnn_build_info{{model_id="{model_id}"}} 1.0',
        "simdnn_near_duplicate_alarms_total 0.0",
    ):
        assert line in text, line
