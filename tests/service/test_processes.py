"""Whole processes: started by the command, ended by signals, killed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.service.conftest import wait_ready

from simdnn.audit.store import AuditStore
from simdnn.client import Client
from simdnn.errors import ServiceError
from simdnn.guard.guard import Guard
from simdnn.service.tokens import add_token

KILLS = int(os.environ.get("SIMDNN_KILLS", "2"))
"""Processes that are killed, for each kind of store."""

pytestmark = pytest.mark.slow


class Running:
    """A service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], address: str, lines: list[str]) -> None:
        self.process = process
        self.address = address
        self.lines = lines

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(*arguments: object, port: int = 0, ready: bool = True) -> Iterator[Running]:
    """Run ``simdnn serve`` on a port, by default a free one, until the block ends."""
    command = [sys.executable, "-m", "simdnn", "serve", *map(str, arguments), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or []))
    reader.start()
    try:
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, (first, lines)
        running = Running(process, found[0], lines)
        if ready:
            with httpx.Client(base_url=found[0]) as client:
                until = time.monotonic() + 120
                while True:
                    with suppress(httpx.HTTPError):
                        wait_ready(client)
                        break
                    assert time.monotonic() < until, lines
                    assert process.poll() is None, lines
                    time.sleep(0.05)
        yield running
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_link_is_printed_where_nobody_else_can_ask(digits: Path, tmp_path: Path, number: int) -> None:
    with serving(digits / "guard.simdnn", "--audit", tmp_path / "audit.db") as running:
        assert running.process.stdout is not None
        link = running.process.stdout.readline().split()[-1]
        with httpx.Client() as client:
            assert client.get(f"{running.address}/v1/audit").status_code == 401
            assert client.get(link).status_code == 303
            assert client.get(f"{running.address}/v1/audit").status_code == 200
        assert running.end(number) == 0
    assert all(json.loads(line)["event"] for line in running.lines)
    assert link.partition("token=")[2] not in "".join(running.lines)


def test_sigterm_answers_what_was_accepted_and_the_port_is_free_at_once(
    digits: Path, tmp_path: Path, odd_picture: bytes
) -> None:
    store = str(tmp_path / "audit.db")
    answered: list[int] = []
    port = 0
    for _ in range(3):
        with serving(digits / "guard.simdnn", "--audit", store, port=port) as running:
            assert port in (0, httpx.URL(running.address).port)
            port = httpx.URL(running.address).port or 0
            before = len(answered)
            answered += asked_until_it_ends(running, odd_picture, lambda one=running: one.end())
            assert running.process.returncode == 0
        assert len(answered) > before
    with AuditStore.open(store) as opened:
        kept = [record.id for record in opened.stream()]
        assert sorted(answered) == sorted(kept)  # nothing was left unanswered, nor answered twice
        assert list(opened.verify()) == []


def test_sighup_loads_the_file_anew_and_a_broken_one_changes_nothing(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "guard.simdnn"
    guard = Guard.load(digits / "guard.simdnn")
    guard.save(path)
    with serving(path) as running, httpx.Client(base_url=running.address) as client:
        guard.model.prototypes.remove(next(iter(guard.model.prototypes)).id)
        changed = guard.model_id
        assert client.get("/readyz").json()["model_id"] != changed
        guard.save(path)
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: client.get("/readyz").json()["model_id"] == changed)
        path.write_bytes(b"broken")
        running.process.send_signal(signal.SIGHUP)
        wait_for(lambda: any("guard not loaded" in line for line in running.lines))
        assert client.get("/readyz").json()["model_id"] == changed


def test_workers_share_the_port_and_change_together(digits: Path, tmp_path: Path, picture: bytes) -> None:
    path, tokens = tmp_path / "guard.simdnn", tmp_path / "tokens.toml"
    guard = Guard.load(digits / "guard.simdnn")
    guard.save(path)
    guard.model.prototypes.remove(next(iter(guard.model.prototypes)).id)
    guard.save(tmp_path / "other.simdnn")
    token = add_token(tokens, "alice", "auditor")
    store = str(tmp_path / "audit.db")
    arguments = ("--token-file", tokens, "--workers", "2", "--audit", store, "--record-all")
    with serving(path, *arguments) as running:

        def model_ids() -> set[str]:
            found = set()
            for _ in range(12):  # a new connection each, so that either worker may take it
                found.add(httpx.get(f"{running.address}/readyz").json().get("model_id"))
            return found

        assert None not in model_ids()  # a worker that is not ready gets no connection
        with Client(running.address, token) as client:
            assert client.change_model("other.simdnn")["model_id"] == guard.model_id
            wait_for(lambda: model_ids() == {guard.model_id})
        for _ in range(6):
            with Client(running.address, token) as client:
                client.check(picture)
        text = httpx.get(f"{running.address}/metrics", headers={"Authorization": f"Bearer {token}"}).text
        assert 'simdnn_checks_total{verdict="clean"} 6.0' in text
        assert f'simdnn_build_info{{model_id="{guard.model_id}"}} 1.0' in text
        assert running.end() == 0
    with AuditStore.open(store) as opened:
        assert opened.count() == 6


def test_a_mistake_ends_the_command_with_one_line(digits: Path, tmp_path: Path) -> None:
    def fails(*arguments: object) -> str:
        command = [sys.executable, "-m", "simdnn", "serve", *map(str, arguments), "--port", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done
        return done.stderr.splitlines()[-1]

    assert "without tokens only this machine may ask" in fails(digits / "guard.simdnn", "--host", "0.0.0.0")
    assert "is no guard file" in fails(digits / "weights.safetensors")
    moved = tmp_path / "guard.simdnn"
    moved.write_bytes((digits / "guard.simdnn").read_bytes())
    assert "other weights" in fails(moved, "--weights", _other_weights(tmp_path))


def _other_weights(folder: Path) -> Path:
    from safetensors.torch import save_file

    from simdnn.networks.digits import DigitsNet

    save_file(DigitsNet().state_dict(), folder / "weights.safetensors")
    return folder / "weights.safetensors"


@pytest.mark.parametrize("number", range(KILLS))
def test_after_kill_9_every_acknowledged_verdict_is_in_the_store_once(
    digits: Path, target: str, odd_picture: bytes, number: int
) -> None:
    rng = random.Random(number)
    with serving(digits / "guard.simdnn", "--audit", target, "--max-delay-ms", 1) as running:

        def kill() -> None:
            time.sleep(rng.uniform(0.05, 1.5))
            running.end(signal.SIGKILL)

        answered = asked_until_it_ends(running, odd_picture, kill)
    with AuditStore.open(target) as store:
        kept = [record.id for record in store.stream()]
        assert len(answered) == len(set(answered))
        assert set(answered) <= set(kept)
        assert len(kept) == len(set(kept))
        assert list(store.verify()) == []


def asked_until_it_ends(running: Running, picture: bytes, end: Any) -> list[int]:
    """Ask on four connections while the service is ended; the numbers of the records that were acknowledged."""
    begun = threading.Event()

    def ask() -> list[int]:
        numbers = []
        with Client(running.address) as client, suppress(ServiceError):
            while True:
                verdict = client._ask("POST", "/v1/check", files=[("image", ("x.png", picture))])
                numbers.append(verdict["record"])
                begun.set()
        return numbers

    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        assert begun.wait(60)
        end()
        return [number for one in asking for number in one.result()]


def wait_for(true: Any) -> None:
    until = time.monotonic() + 120
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
