"""The page that compares the guard in use with its shadow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.service.conftest import Service, Start
from tests.service.pages.conftest import OTHER


def json_of(service: Service, address: str) -> Any:
    reply = service.client.get(address, headers=service.auditor)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_counts_and_disagreements_are_those_of_the_records(compared: Service) -> None:
    records = {record.id: record for record in compared.state.store.records()}
    differ = {number: record for number, record in records.items() if number % 2 == 0}
    found = json_of(compared, "/shadow.json")
    (pair,) = found["pairs"]
    for own, other in OTHER.items():
        alone = sum(record.verdict == own for record in differ.values()) + (own == "clean")
        together = sum(record.verdict == own for record in records.values()) + (own == "clean") - alone
        assert (pair[f"{own}_{other}"], pair[f"{own}_{own}"]) == (alone, together)
    lost, *kept = found["disagreements"]
    assert (lost["path"], lost["record_id"], lost["image_kept"]) == ("lost.png", None, None)
    assert [one["record_id"] for one in kept] == sorted(differ, reverse=True)
    for one in kept:
        record = differ[one["record_id"]]
        assert (one["classifier_label"], one["image_kept"]) == (record.classifier_label, True)
        assert (one["verdict"], one["shadow_verdict"]) == (record.verdict, OTHER[record.verdict])
    assert json_of(compared, "/v1/shadow") == {
        name: value for name, value in found.items() if name != "asked"
    }


def test_a_cell_of_the_table_leads_to_its_images(compared: Service) -> None:
    page = compared.client.get("/shadow", headers=compared.auditor).text
    (pair,) = json_of(compared, "/shadow.json")["pairs"]
    links = dict(re.findall(r'<td><a href="([^"]+verdict=(?:clean|attack))">(\d+)</a>', page))
    assert sorted(map(int, links.values())) == sorted([pair["clean_attack"], pair["attack_clean"]])
    for address, number in links.items():
        shown = json_of(compared, address.replace("&amp;", "&").replace("/shadow", "/shadow.json"))
        assert len(shown["disagreements"]) == int(number)
        assert {one["verdict"] for one in shown["disagreements"]} == {shown["asked"]["verdict"]}
    assert json_of(compared, "/shadow.json?model=another")["disagreements"] == []


def test_paging_sees_each_disagreement_once(compared: Service) -> None:
    whole = [one["id"] for one in json_of(compared, "/shadow.json")["disagreements"]]
    seen: list[int] = []
    address = "/shadow?limit=2"
    while True:
        shown = json_of(compared, address.replace("/shadow", "/shadow.json"))
        seen += [one["id"] for one in shown["disagreements"]]
        page = compared.client.get(address, headers=compared.auditor).text
        older = re.search(r'rel="next" href="([^"]+)"', page)
        assert (older is None) == (shown["next"] is None)
        if older is None:
            break
        address = older[1].replace("&amp;", "&")
    assert seen == whole
    assert 'rel="next"' not in compared.client.get("/shadow", headers=compared.auditor).text


def test_shares_are_written_out(compared: Service) -> None:
    (pair,) = json_of(compared, "/shadow.json")["pairs"]
    page = compared.client.get("/shadow", headers=compared.auditor).text
    for number in (pair["clean_clean"], pair["attack_attack"]):
        assert f"<td>{number} <small>{100 * number / 25:.3g} %</small></td>" in page


def test_the_page_is_in_the_navigation_where_there_is_a_shadow(
    start: Start, digits: Path, service: Service
) -> None:
    link = '<a href="/shadow"'
    alone = service.client.get("/shadow", headers=service.auditor).text
    assert link not in alone
    assert "No second guard judges" in alone
    beside = start(shadow=digits / "guard.simdnn")
    assert link in beside.client.get("/queue", headers=service.auditor).text


def test_an_address_that_makes_no_sense_is_refused(service: Service) -> None:
    for query in ("verdict=odd", "cursor=0", "limit=0", "model=" + "m" * 65):
        assert service.client.get(f"/shadow.json?{query}", headers=service.auditor).status_code == 422
