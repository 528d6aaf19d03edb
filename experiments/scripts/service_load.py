"""Load the service with photographs, beside the bare network: `python experiments/scripts/service_load.py`.

Both take the same files and the same number of passes of the network for each; both have all cores, the network by its
threads, the service by one worker of one thread for each. The network runs as it was given, and with its batch norms
fused. They run in turn; the result is the ratio of the medians of their throughputs, with the latencies that clients
saw.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import torch

from local_networks import network
from record import timed, write_record
from service_process import served
from simdnn.guard.guard import Guard
from simdnn.images.files import find_images
from simdnn.networks.cache import FeatureCache, default_cache
from simdnn.networks.extractor import Extractor
from speed import bare

CONNECTIONS = 32
"""Clients that ask at once."""


async def ask(address: str, contents: list[bytes], connections: int) -> tuple[float, list[float]]:
    """Have images judged over so many connections; returns the seconds in all, and those of each request."""
    waiting = iter(contents)
    latencies: list[float] = []
    limits = httpx.Limits(max_connections=connections)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:

        async def one() -> None:
            for data in waiting:
                start = time.perf_counter()
                reply = await client.post("/v1/check", content=data, headers={"Content-Type": "image/jpeg"})
                reply.raise_for_status()
                latencies.append(time.perf_counter() - start)

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(connections)))
        return time.perf_counter() - start, latencies


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds."""
    return {f"p{q}_ms": round(1000 * float(np.percentile(latencies, q)), 1) for q in (50, 99)}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("SIMDNN_DATA"))
    parser.add_argument("--network", default="mobilenet_v2")
    parser.add_argument("--level", default="standard")
    parser.add_argument("--limit", type=int, default=250, help="photographs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--dry", action="store_true", help="write no record")
    options = parser.parse_args()
    photographs = options.data / "imagenette224"
    extractor = Extractor([network(options.network, options.data)], cache=FeatureCache(default_cache()))
    guard = Guard.fit(photographs / "train", extractor, level=options.level, view_seed=0)
    passes = 1 + len(guard.rule.views)
    paths = find_images([photographs / "val"])[: options.limit]
    contents = [path.read_bytes() for path in paths]
    threads = torch.get_num_threads()
    [backbone] = extractor.backbones
    networks = {"bare": backbone.network, "bare, fused": backbone.fused}
    seconds: dict[str, list[float]] = {name: [] for name in (*networks, "service")}
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "guard.simdnn"
        guard.save(file)
        arguments = (file, "--audit", Path(folder) / "audit.db", "--workers", threads, "--threads", 1)
        with served(*arguments) as (address, _):
            asyncio.run(ask(address, contents, options.connections))  # until each worker is ready
            bare(backbone.network, backbone, paths[:16], passes)
            for _ in range(options.repeats):
                for name, model in networks.items():
                    seconds[name].append(timed(partial(bare, model, backbone, paths, passes)))
                taken, each = asyncio.run(ask(address, contents, options.connections))
                seconds["service"].append(taken)
                latencies += each
            _, alone = asyncio.run(ask(address, contents[:50], 1))
    result: dict[str, Any] = {
        "network": options.network,
        "level": options.level,
        "passes": passes,
        "n": len(paths),
        "repeats": options.repeats,
        "connections": options.connections,
        "workers": threads,
        "seconds": seconds,
        "images_per_second": {name: len(paths) / median(values) for name, values in seconds.items()},
        "throughput_ratio_to_network": {
            name: median(seconds[name]) / median(seconds["service"]) for name in networks
        },
        "latency_under_load": percentiles(latencies),
        "latency_one_at_a_time": percentiles(alone),
    }
    print({key: value for key, value in result.items() if key != "seconds"})
    if not options.dry:
        write_record(f"service_load_{options.network}", result)


if __name__ == "__main__":
    main()
