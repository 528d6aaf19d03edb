"""``simdnn serve``: the guard over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import Annotated

import typer

from simdnn.cli.libraries import service_libraries
from simdnn.cli.options import Device, GuardFile, Trust, Weights
from simdnn.cli.text import echo, shown

ACCESS, BATCHES, LIMITS, RECORDS = "Access", "Batches", "Limits", "Records"
SECRET = "SIMDNN_SECRET"
"""Environment variable with the secret that signs sessions, so that they outlive a restart."""


def serve(
    guard: GuardFile,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of each process's network.", show_default="one per core"),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Who may ask, as `simdnn token` writes it. Without one only this machine may, and a link for the "
            "auditor is printed.",
            rich_help_panel=ACCESS,
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            min=0, help="Images a minute of one token, in each process; 0 for any.", rich_help_panel=ACCESS
        ),
    ] = 0.0,
    near_duplicates: Annotated[
        int,
        typer.Option(
            min=0,
            help="Earlier, nearly equal images of one token that raise an alarm; 0 for none, as for a still camera.",
            rich_help_panel=ACCESS,
        ),
    ] = 20,
    near_window: Annotated[
        float, typer.Option(min=1, help="Seconds that such images are remembered.", rich_help_panel=ACCESS)
    ] = 600.0,
    session_hours: Annotated[
        float, typer.Option(help="Hours after which a person logs in again.", rich_help_panel=ACCESS)
    ] = 12.0,
    audit: Annotated[
        str | None,
        typer.Option(
            help="Record what is flagged in this audit store, a file or a database URL.",
            rich_help_panel=RECORDS,
            envvar="SIMDNN_AUDIT",
        ),
    ] = None,
    audit_images: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep the recorded images, too, in this folder or at this URL for fsspec.",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    record_all: Annotated[
        bool, typer.Option("--record-all", help="Record clean images, too.", rich_help_panel=RECORDS)
    ] = False,
    shadow: Annotated[
        Path | None,
        typer.Option(
            help="A second guard that judges every image without acting on it.", rich_help_panel=RECORDS
        ),
    ] = None,
    max_batch: Annotated[
        int,
        typer.Option(
            min=1,
            help="Images that go through the network together: few on a CPU, so that others are decoded "
            "meanwhile; 32 or more on a graphics card.",
            rich_help_panel=BATCHES,
        ),
    ] = 8,
    max_delay_ms: Annotated[
        float,
        typer.Option(
            min=0, help="Milliseconds that an image waits for others; 0 for none.", rich_help_panel=BATCHES
        ),
    ] = 4.0,
    queue: Annotated[
        int,
        typer.Option(min=1, help="Images in work; beyond it requests are refused.", rich_help_panel=LIMITS),
    ] = 256,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that a request may take.", rich_help_panel=LIMITS)
    ] = 30.0,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.", rich_help_panel=LIMITS)] = 64
    << 20,
    max_parts: Annotated[int, typer.Option(min=1, help="Images in a request.", rich_help_panel=LIMITS)] = 256,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            help="Pixels of an image. Of a WebP, or with more than 8 bits a channel, each counts as three.",
            rich_help_panel=LIMITS,
        ),
    ] = 50_000_000,
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
) -> None:
    """Serve a guard over HTTP: REST at /v1, the Open Inference Protocol at /v2, pages for auditors, /metrics.

    A new guard is loaded without a restart: by POST /v1/model, or SIGHUP. SIGTERM answers what was accepted, and ends.
    """
    with service_libraries():
        from simdnn.service.serve import serve as run

    def announce(address: str, link: str | None) -> None:
        echo(shown(f"serving {guard} on {address}"))
        if link is not None:
            echo(f"auditor's link, good for one use within an hour: {link}")

    run(
        {
            "guard": guard,
            "secret": os.environ.get(SECRET) or token_hex(32),
            "audit": audit,
            "audit_images": audit_images,
            "token_file": token_file,
            "shadow": shadow,
            "weights": tuple(weights or ()),
            "trust": tuple(trust or ()),
            "device": device,
            "threads": threads,
            "workers": workers,
            "max_batch": max_batch,
            "max_delay_ms": max_delay_ms,
            "queue": queue,
            "time_limit": time_limit,
            "max_body": max_body,
            "max_parts": max_parts,
            "max_pixels": max_pixels,
            "rate": rate,
            "near_duplicates": near_duplicates,
            "near_window": near_window,
            "record_all": record_all,
            "session_hours": session_hours,
        },
        host=host,
        port=port,
        announce=announce,
    )
