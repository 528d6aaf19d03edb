"""A service in a process of its own, for scripts that measure it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx


@contextmanager
def served(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run ``simdnn serve`` on a free port of this machine; yields its address and process once it is ready."""
    command = [sys.executable, "-m", "simdnn", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise SystemExit(f"the service did not start: {' '.join(command)}")
        wait_ready(found[0], process)
        yield found[0], process
    finally:
        process.terminate()
        process.wait(60)


def wait_ready(address: str, process: subprocess.Popen[str]) -> None:
    """Wait until the guard is loaded and warm."""
    while process.poll() is None:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit("the service ended before it was ready")


def metric(address: str, name: str, token: str) -> float:
    """Return the sum of a metric over its labels; any token of the service may ask."""
    lines = httpx.get(f"{address}/metrics", headers={"Authorization": f"Bearer {token}"}).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}[ {{]", line))
