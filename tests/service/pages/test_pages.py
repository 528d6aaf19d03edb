"""The pages and their twins, without a browser."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest
from tests.service.conftest import Service

PAGES = (
    "/queue?verdict=any",
    "/queue?label=none&since=2020-01-01&until=2099-12-31&class=3&p_min=0&p_max=1",
    "/bulk",
    "/records/1",
    "/records/1/profile",
    "/prototypes",
    "/prototypes?class=3",
    "/rates",
    "/rates?span=hour",
    "/shadow",
    "/actions",
)


def json_of(service: Service, address: str) -> Any:
    reply = service.client.get(address, headers=service.auditor)
    assert reply.status_code == 200, reply.text
    return reply.json()


def flagged(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json_of(service, "/queue.json")["records"]
    assert found
    return found


def post(service: Service, address: str, data: dict[str, Any] | None = None) -> Any:
    return service.client.post(address, headers=service.auditor, data=data, follow_redirects=False)


def test_every_page_has_a_twin_and_is_an_auditors(watched: Service) -> None:
    for address in PAGES:
        path, _, query = address.partition("?")
        for asked in (address, f"{path}.json?{query}"):
            reply = watched.client.get(asked, headers=watched.auditor)
            assert reply.status_code == 200, (asked, reply.text)
            kind = "application/json" if ".json" in asked else "text/html; charset=utf-8"
            assert reply.headers["content-type"] == kind
            assert "nosniff" in reply.headers["x-content-type-options"]
            assert watched.client.get(asked, headers=watched.checker).status_code == 403
            assert watched.client.get(asked).status_code == 401
        page = watched.client.get(address, headers=watched.auditor).text
        assert " style=" not in page
        assert "<style" not in page
        assert "onclick" not in page


def test_paging_sees_each_record_once_newest_first(watched: Service) -> None:
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json_of(watched, f"/queue.json?verdict=any&limit=5&cursor={cursor}")
        seen += [record["id"] for record in page["records"]]
        cursor = page["next"]
    assert seen == list(range(24, 0, -1))


@pytest.mark.parametrize(
    "query", ["verdict=odd", "p_min=2", "p_max=x", "since=yesterday", "label=maybe", "cursor=7", "up_to=0"]
)
def test_an_address_that_makes_no_sense_is_refused_with_the_reason(watched: Service, query: str) -> None:
    reply = watched.client.get(f"/queue.json?{query}", headers=watched.auditor)
    assert reply.status_code == 422
    assert reply.json()["detail"]


def test_label_note_and_undo_are_recorded_actions(watched: Service) -> None:
    number = flagged(watched)[0]["id"]
    assert (
        post(watched, f"/records/{number}/label", {"label": "clean"}).headers["location"]
        == f"/records/{number}"
    )
    assert post(watched, f"/records/{number}/note", {"note": "dust"}).status_code == 303
    page = json_of(watched, f"/records/{number}.json")
    assert (page["record"]["human_label"], page["record"]["note"]) == ("clean", "dust")
    assert [label["labelled_by"] for label in page["labels"]] == ["a-auditor"] * 2
    assert post(watched, f"/undo?record={number}").status_code == 303
    assert json_of(watched, f"/records/{number}.json")["record"]["note"] is None
    assert post(watched, f"/undo?record={number}").status_code == 303
    assert json_of(watched, f"/records/{number}.json")["record"]["human_label"] is None
    assert post(watched, "/undo").status_code == 409
    told = json_of(watched, "/actions.json")["actions"]
    assert [action["what"] for action in told] == ["undo", "undo", "note", "label"]
    assert told[-1]["before"] is None
    assert told[-1]["after"] == {"human_label": "clean"}
    assert not list(watched.state.store.verify())


def test_bulk_label_takes_those_that_were_counted_and_undo_takes_all_back(watched: Service) -> None:
    number = len(flagged(watched))
    shown = json_of(watched, "/bulk.json")
    assert shown["count"] == number
    up_to = shown["filters"]["up_to"]
    assert post(watched, f"/bulk?up_to={up_to}", {"label": "attack", "count": number + 1}).status_code == 422
    assert post(watched, "/bulk", {"label": "attack", "count": number}).status_code == 422
    done = post(watched, f"/bulk?up_to={up_to}", {"label": "attack", "count": number})
    assert done.status_code == 303
    assert "Bulk label" in watched.client.get(done.headers["location"], headers=watched.auditor).text
    assert {record["human_label"] for record in flagged(watched)} == {"attack"}
    assert post(watched, "/undo").status_code == 303
    assert {record["human_label"] for record in flagged(watched)} == {None}


def test_pictures_are_encoded_anew(watched: Service) -> None:
    for kind in ("picture", "thumbnail", "difference"):
        reply = watched.client.get(f"/records/1/{kind}.png", headers=watched.auditor)
        assert reply.status_code == 200
        assert reply.content.startswith(b"\x89PNG")
    assert watched.client.get("/records/999/picture.png", headers=watched.auditor).status_code == 404


def test_exports(watched: Service) -> None:
    def export(kind: str) -> bytes:
        reply = watched.client.get(f"/export.{kind}?verdict=any", headers=watched.auditor)
        assert reply.status_code == 200
        assert "attachment" in reply.headers["content-disposition"]
        content: bytes = reply.content
        return content

    rows = list(csv.DictReader(io.StringIO(export("csv").decode())))
    lines = [json.loads(line) for line in export("jsonl").splitlines()]
    assert [row["id"] for row in rows] == [str(line["id"]) for line in lines]
    assert len(lines) == 24
    with zipfile.ZipFile(io.BytesIO(export("zip"))) as archive:
        assert archive.testzip() is None
        assert len([name for name in archive.namelist() if name.startswith("images/")]) == 24


def test_a_prototype_is_removed_after_a_preview_and_restored_as_it_was(watched: Service) -> None:
    before = watched.state.models.current
    assert before is not None
    listed = json_of(watched, "/prototypes.json?class=3")
    victim = listed["prototypes"][1]["id"]
    preview = json_of(watched, f"/prototypes/preview.json?edit=remove&prototype={victim}")
    assert preview["calibration"]["n"] == len(before.guard.calibration)
    assert preview["recorded"]["n"] == 24
    form = {"edit": "remove", "prototype": victim}
    assert post(watched, "/prototypes?model_id=other", form).status_code == 409
    assert post(watched, f"/prototypes?model_id={preview['model_id']}", form).status_code == 303
    now = watched.state.models.current
    assert now is not None
    assert now.id != before.id
    gone = json_of(watched, "/prototypes.json?class=3")
    assert victim not in [prototype["id"] for prototype in gone["prototypes"]]
    (removed,) = gone["removed"]
    assert (removed["prototype"], removed["who"]) == (victim, "a-auditor")
    form = {"edit": "restore", "prototype": victim, "removal": removed["action"]}
    assert post(watched, f"/prototypes?model_id={now.id}", form).status_code == 303
    restored = watched.state.models.current
    assert restored is not None
    assert restored.id == before.id  # every byte of the guard file is as it was
    assert not json_of(watched, "/prototypes.json?class=3")["removed"]
    assert not list(watched.state.store.verify())


def test_the_preview_counts_what_changes(watched: Service) -> None:
    """The counts are those of judging all images with the guard as it is and as it would be."""
    model = watched.state.models.current
    assert model is not None
    listed = json_of(watched, "/prototypes.json?class=3")
    victim = listed["prototypes"][0]["id"]
    preview = json_of(watched, f"/prototypes/preview.json?edit=relabel&prototype={victim}&label=8")
    verdicts = {
        record["id"]: record["verdict"] for record in json_of(watched, "/queue.json?verdict=any")["records"]
    }
    assert preview["recorded"]["before"] == list(verdicts.values()).count("attack")
    form = {"edit": "relabel", "prototype": victim, "label": "8"}
    assert post(watched, f"/prototypes?model_id={model.id}", form).status_code == 303
    changed = []
    for record in watched.state.store.records():
        data = watched.state.store.image(record)
        assert data is not None
        reply = watched.client.post(
            "/v1/check", headers=watched.checker, files={"image": ("x.png", data, "image/png")}
        )
        if reply.json()["verdict"] != verdicts[record.id]:
            changed.append(record.id)
    assert sorted(preview["recorded"]["changed"]) == sorted(changed)


def test_a_guard_file_that_was_changed_beside_the_service_is_not_overwritten(watched: Service) -> None:
    model = watched.state.models.current
    assert model is not None
    victim = json_of(watched, "/prototypes.json?class=3")["prototypes"][0]["id"]
    from simdnn.guard.guard import Guard

    other = Guard.read(model.file)
    other.model.prototypes.remove(victim)
    other.save(model.file)
    form = {"edit": "remove", "prototype": victim}
    reply = post(watched, f"/prototypes?model_id={model.id}", form)
    assert reply.status_code == 409
    assert "another guard" in reply.json()["detail"]


def test_rates_count_what_was_recorded(watched: Service) -> None:
    rates = json_of(watched, "/rates.json?span=hour")
    assert sum(interval["judged"] for interval in rates["intervals"]) == 24
    assert sum(interval["flagged"] for interval in rates["intervals"]) == len(flagged(watched))
    assert rates["drift"]["images"] == 24
    assert len(rates["drift"]["course"]) == 24
    assert rates["drift"]["course"][-1] == pytest.approx(rates["drift"]["log10_capital"])
