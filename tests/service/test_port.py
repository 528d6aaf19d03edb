"""The port of the service, and of its workers."""

from __future__ import annotations

import pickle
import socket
import sys
from contextlib import ExitStack

import pytest

from simdnn.service.port import shared_port, without_delay

CONNECTIONS = 60

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere workers share one socket, whose options differ"
)


def bound() -> socket.socket:
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def test_each_worker_gets_its_part_of_the_connections() -> None:
    with ExitStack() as stack:
        held = stack.enter_context(shared_port(bound()))
        workers = [stack.enter_context(pickle.loads(pickle.dumps(held))) for _ in range(2)]
        for worker in workers:
            worker.listen(CONNECTIONS)
            worker.setblocking(False)
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(held.getsockname()))
        taken = [0, 0]
        for number, worker in enumerate(workers):
            while True:
                try:
                    stack.enter_context(worker.accept()[0])
                except BlockingIOError:
                    break
                taken[number] += 1
        assert sum(taken) == CONNECTIONS
        assert min(taken) >= 10  # 30 expected; fewer than 10 of 60 in one of 10 million


def test_no_other_service_gets_the_port_meanwhile() -> None:
    with shared_port(bound()) as held, pickle.loads(pickle.dumps(held)) as worker, socket.socket() as other:
        worker.listen()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(held.getsockname())


def test_answers_are_sent_at_once() -> None:
    alone = without_delay(bound())
    with shared_port(bound()) as held, pickle.loads(pickle.dumps(held)) as worker, alone:
        for listening in (alone, worker):
            listening.listen()
            with socket.create_connection(listening.getsockname()), listening.accept()[0] as connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
