"""Images in batches, bounded queues, and time limits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.service.conftest import Service, Start

from simdnn.guard.guard import Guard
from simdnn.guard.verdict import Verdict
from simdnn.networks.extractor import Extractor
from simdnn.service import batching
from simdnn.service.batching import Batcher, judge_together
from simdnn.service.jobs import Job, Question, Upload, prepared_job
from simdnn.service.limits import Rate
from simdnn.service.metrics import Metrics
from simdnn.service.models import Model
from simdnn.service.problems import Problem
from simdnn.service.settings import Settings

TRUST = ("simdnn.networks.digits:digits_network",)


@pytest.fixture(scope="module")
def profile_guard(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guard of the rule profile, which looks at views."""
    from tests.guard.networks import digits_backbone

    path = tmp_path_factory.mktemp("profile") / "profile.simdnn"
    Guard.fit(digits / "train", Extractor([digits_backbone(digits)])).save(path)
    return path


def loaded(guard: Path, folder: Path) -> tuple[Model, Settings]:
    settings = Settings(guard=guard, runtime=folder, secret="a secret of the tests", trust=TRUST)
    return Model.load(guard, settings), settings


def job(
    model: Model, settings: Settings, data: bytes, rule: str | None = None, alpha: float | None = None
) -> Job:
    question = Question(rule, alpha, "someone", "1")
    return prepared_job(Upload("image", data), question, model, settings.limits, hashed=False)


def test_one_pass_of_the_network_answers_different_questions(
    profile_guard: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = loaded(profile_guard, tmp_path)
    images = sorted((digits / "test").rglob("*.png"))[::60]
    asked = [(None, None), ("similarity", None), (None, 0.3), ("published", None), ("similarity", 0.5)]
    questions = [asked[i % len(asked)] for i in range(len(images))]
    passes: list[int] = []
    backbone = model.guard.extractor.backbones[0]
    backbone.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    verdicts = judge_together(
        [job(model, settings, image.read_bytes(), *q) for image, q in zip(images, questions, strict=True)]
    )
    assert sum(passes) == 3 * len(images)  # each image and its two views, once
    for image, (rule, alpha), verdict in zip(images, questions, verdicts, strict=True):
        (alone,) = model.guard.check([image], rule=rule, alpha=alpha)
        assert (verdict.verdict, verdict.rule, verdict.label) == (alone.verdict, alone.rule, alone.label)
        assert verdict.score == pytest.approx(alone.score, rel=1e-3, abs=1e-3)
        if rule != "published":  # whose threshold moves along the stream
            assert verdict.threshold == pytest.approx(alone.threshold)


def test_batches_are_full_but_never_over_the_limit_and_keep_their_guard(
    digits: Path, tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, settings = loaded(digits / "guard.simdnn", tmp_path)
    second, _ = loaded(digits / "guard.simdnn", tmp_path)
    sizes: list[tuple[Model, int]] = []
    blocked, done = threading.Event(), threading.Event()
    order: list[Job] = []

    def judged(batch: list[tuple[Job, Verdict]]) -> None:
        sizes.append((batch[0][0].model, len(batch)))
        order.extend(job for job, _ in batch)
        blocked.wait(60)
        if len(order) == 12:
            done.set()

    batcher = Batcher(4, 0.0, judged)
    jobs = [job(first, settings, picture) for _ in range(8)] + [
        job(second, settings, picture) for _ in range(4)
    ]
    batcher.submit(jobs[0])
    while not sizes:
        time.sleep(0.001)
    for later in jobs[1:]:
        batcher.submit(later)
    blocked.set()
    assert done.wait(60)
    batcher.close()
    assert sizes == [(first, 1), (first, 4), (first, 3), (second, 4)]
    assert order == jobs


def test_a_cancelled_image_is_not_judged_and_a_failure_ends_only_its_batch(
    digits: Path, tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = loaded(digits / "guard.simdnn", tmp_path)
    answered: list[Job] = []

    def judged(batch: list[tuple[Job, Verdict]]) -> None:
        for done, verdict in batch:
            answered.append(done)
            done.future.set_result(verdict)  # type: ignore[arg-type]

    batcher = Batcher(1, 0.0, judged)
    cancelled, broken, sound = (job(model, settings, picture) for _ in range(3))
    cancelled.future.cancel()
    whole = batching.judge_together
    monkeypatch.setattr(
        batching,
        "judge_together",
        lambda jobs: 1 / 0 if broken in jobs else whole(jobs),
    )
    for one in (cancelled, broken, sound):
        batcher.submit(one)
    assert isinstance(broken.future.exception(60), ZeroDivisionError)
    sound.future.result(60)
    batcher.close()
    assert answered == [sound]


def slow(service: Service, monkeypatch: pytest.MonkeyPatch, opened: threading.Event) -> None:
    """Keep the networks busy until the event is set."""
    whole = batching.judge_together

    def waiting(jobs: list[Job]) -> list[Verdict]:
        opened.wait(60)
        return whole(jobs)

    monkeypatch.setattr(batching, "judge_together", waiting)


def test_beyond_the_queue_is_503_and_nothing_is_lost(
    start: Start, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(queue=3, record_all=True)
    opened = threading.Event()
    slow(service, monkeypatch, opened)

    def ask(_: int) -> Any:
        return service.client.post("/v1/check", files={"image": picture}, headers=service.checker)

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask, i) for i in range(8)]
        until = time.monotonic() + 60
        while sum(one.done() for one in waiting) < 5:
            assert time.monotonic() < until
            time.sleep(0.01)
        opened.set()
        replies = [one.result() for one in waiting]
    statuses = sorted(reply.status_code for reply in replies)
    assert statuses == [200] * 3 + [503] * 5
    for reply in replies:
        if reply.status_code == 503:
            assert reply.headers["retry-after"] == "1"
            assert "3 of 3 are being checked" in reply.json()["detail"]
    numbers = {reply.json()["record"] for reply in replies if reply.status_code == 200}
    assert numbers == {1, 2, 3}
    assert service.state.pipeline.room.held == 0
    assert ask(0).status_code == 200
    assert (
        'simdnn_refused_total{reason="queue"} 5.0'
        in service.client.get("/metrics", headers=service.checker).text
    )


def test_too_slow_a_verdict_is_503(start: Start, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start(time_limit=0.2)
    opened = threading.Event()
    slow(service, monkeypatch, opened)
    reply = service.client.post("/v1/check", files={"image": picture}, headers=service.checker)
    opened.set()
    assert reply.status_code == 503
    assert "within 0.2 s" in reply.json()["detail"]
    assert reply.headers["retry-after"] == "1"


def test_a_rate_is_per_token_and_refills(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rate = Rate(60, Metrics())
    rate.spend("alice", 60)
    with pytest.raises(Problem) as refused:
        rate.spend("alice", 2)
    assert refused.value.status_code == 429
    assert (refused.value.headers or {})["Retry-After"] == "2"
    rate.spend("bob", 1)
    now[0] += 2
    rate.spend("alice", 2)
    with pytest.raises(Problem):
        rate.spend("alice", 1)


def test_the_rate_of_the_service(start: Start, picture: bytes) -> None:
    service = start(rate=2)
    replies = [
        service.client.post("/v1/check", files={"image": picture}, headers=service.checker) for _ in range(3)
    ]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert (
        service.client.post("/v1/check", files={"image": picture}, headers=service.auditor).status_code == 200
    )


def test_what_cannot_be_recorded_is_not_answered(
    start: Start, odd_picture: bytes, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simdnn.audit.store import AuditStore
    from simdnn.errors import AuditError

    service = start()

    def full(*_: object, **__: object) -> list[int]:
        raise AuditError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(AuditStore, "record_all", full)
        reply = service.client.post("/v1/check", files={"image": odd_picture}, headers=service.checker)
        assert reply.status_code == 503
        assert "could not be recorded" in reply.json()["detail"]
        assert (
            service.client.post("/v1/check", files={"image": picture}, headers=service.checker).status_code
            == 200
        )
    assert (
        service.client.post("/v1/check", files={"image": odd_picture}, headers=service.checker).status_code
        == 200
    )


def test_a_pause_gathers_what_comes_in_it(start: Start, picture: bytes) -> None:
    service = start(max_delay_ms=2000.0, max_batch=4)
    with ThreadPoolExecutor(4) as pool:
        replies = list(
            pool.map(
                lambda _: service.client.post("/v1/check", files={"image": picture}, headers=service.checker),
                range(4),
            )
        )
    assert {reply.status_code for reply in replies} == {200}
    assert (
        'simdnn_batch_size_bucket{le="2.0"} 0.0'
        in service.client.get("/metrics", headers=service.checker).text
    )


def test_pixels_and_files_of_one_image_have_one_hash(digits: Path, tmp_path: Path, picture: bytes) -> None:
    model, settings = loaded(digits / "guard.simdnn", tmp_path)
    of_file = prepared_job(
        Upload("a", picture), Question(None, None, "x", "1"), model, settings.limits, hashed=True
    )
    pixels = of_file.prepared.pixels[0]
    of_pixels = prepared_job(
        Upload("a", pixels), Question(None, None, "x", "1"), model, settings.limits, hashed=True
    )
    assert of_file.seen == of_pixels.seen
