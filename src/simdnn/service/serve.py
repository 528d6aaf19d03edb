"""Running the service: one process, or several that share the port."""

from __future__ import annotations

import ipaddress
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import torch
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors.multiprocess import Multiprocess

from simdnn.errors import InputError, SimDNNError
from simdnn.guard.guard import Guard
from simdnn.service import metrics
from simdnn.service.app import create_app
from simdnn.service.logs import log_as_json
from simdnn.service.port import shared_port, without_delay
from simdnn.service.sessions import Sessions
from simdnn.service.settings import Settings
from simdnn.service.tokens import TokenBook

SWITCH = 0.0005
"""Seconds after which a thread that runs Python gives way: the judging thread needs it between a network's layers."""

ENVIRONMENT = "SIMDNN_SERVICE"
"""Environment variable by which workers get the settings."""


def serve(
    values: Mapping[str, Any], *, host: str, port: int, announce: Callable[[str, str | None], None]
) -> None:
    """Serve until a signal ends it; what was accepted is answered before.

    Parameters
    ----------
    values : fields of :class:`simdnn.service.settings.Settings`; the folder that workers share is made here
    host, port : where it listens
    announce : told the address, and an auditor's link where there is no file of tokens

    Raises
    ------
    InputError
        If a value cannot be, others than this machine could ask without tokens, or the port cannot be had.
    SimDNNError
        If guard, tokens or audit store cannot be used.
    """
    if values.get("token_file") is None and not is_loopback(host):
        raise InputError(
            f"without tokens only this machine may ask, expected --host 127.0.0.1 or --token-file, got {host}; make "
            "tokens: simdnn token add NAME --role auditor --file tokens.toml"
        )
    with tempfile.TemporaryDirectory(prefix="simdnn-service-") as folder:
        settings = Settings(**values, runtime=Path(folder))
        TokenBook(settings.token_file)
        for file in (settings.guard, settings.shadow):
            if file is not None:
                Guard.read(file)  # its error now, rather than in a worker's log
        config = _config(settings, host, port)
        bound = _socket(config, host, port)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}"
        link = None
        if settings.token_file is None:
            sessions = Sessions(settings.secret, settings.runtime, settings.session_hours, settings.start)
            link = f"{address}/login?token={sessions.link('local', 'auditor')}"
        announce(address, link)
        log_as_json()
        signal.signal(
            signal.SIGTERM, lambda *_: None
        )  # uvicorn's own comes first, and raises it again at the end
        if settings.workers == 1:
            _one_process(settings, config, [bound])
        else:
            with shared_port(bound) as port_of_workers:
                _Workers(config, [port_of_workers]).run()


def worker_app() -> FastAPI:
    """Make the application of a worker, by the settings in its environment."""
    log_as_json()
    settings = msgspec.json.decode(
        os.environ[ENVIRONMENT], type=Settings, dec_hook=lambda kind, value: kind(value)
    )
    return create_app(_set_up(settings))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Workers(Multiprocess):
    """Worker processes; SIGHUP has each load the guard anew, in place of a restart."""

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)


def _one_process(settings: Settings, config: uvicorn.Config, sockets: list[Any]) -> None:
    failures: list[SimDNNError] = []

    def stop(error: SimDNNError) -> None:
        failures.append(error)
        server.should_exit = True

    config.app = create_app(_set_up(settings), on_failure=stop)
    config.factory = False
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises SIGINT again once it has answered what was accepted
        server.run(sockets)
    if failures:
        raise failures[0]


def _config(settings: Settings, host: str, port: int) -> uvicorn.Config:
    if settings.workers > 1:
        os.environ[ENVIRONMENT] = msgspec.json.encode(settings, enc_hook=str).decode()
        shared = settings.runtime / "metrics"
        shared.mkdir()
        os.environ[metrics.FOLDER] = str(shared)
    return uvicorn.Config(
        "simdnn.service.serve:worker_app",
        factory=True,
        host=host,
        port=port,
        workers=settings.workers,
        log_config=None,
        access_log=False,  # the service's own has no query strings, which may hold a link's token
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.time_limit) + 5,
        timeout_worker_healthcheck=60,
    )


def _socket(config: uvicorn.Config, host: str, port: int) -> Any:
    try:
        return without_delay(config.bind_socket())
    except (SystemExit, OSError) as error:
        raise InputError(
            f"cannot listen on {host}, port {port}; expected a free port; name another by --port"
        ) from error


def _set_up(settings: Settings) -> Settings:
    """Set the threads of this process up; return the settings."""
    sys.setswitchinterval(SWITCH)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    return settings
