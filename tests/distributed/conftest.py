"""A Ray cluster of two processes on this machine, for the tests of this folder alone."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from simdnn.distributed.cluster import Cluster, connected
from simdnn.distributed.extractor import RayExtractor
from simdnn.distributed.sources import find_source
from simdnn.networks.backbone import Backbone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let Ray's own warnings be: what it leaves open is closed when it stops."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for kept in ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning", "FutureWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kept}"))
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two processes that run networks; stopped with the session."""
    pytest.importorskip("ray.data", reason="needs Ray: pip install 'simdnn[ray]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with connected(actors=2) as found:
            yield found
        gc.collect()  # what Ray left open is closed while its warnings are still let be


def on(
    cluster: Cluster, backbone: Backbone, data: Path, runs: Path, *, labelled: bool = True
) -> RayExtractor:
    """Make an extractor on the cluster."""
    source = find_source([data], labelled=labelled)
    return RayExtractor([backbone], cluster=cluster, source=source, runs=runs, batch_size=16)
