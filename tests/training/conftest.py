from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from safetensors.torch import save_file
from tests.training.small import write_stripes
from typer.testing import CliRunner

from simdnn.networks.auxiliary import untrained

Command = Callable[..., str]

BACKBONE = "shufflenet_v2_x0_5"
"""The smallest network of torchvision."""


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 10 images, ``lying`` and ``standing``, of 32 pixels a side."""
    return write_stripes(tmp_path_factory.mktemp("stripes") / "train")


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights to start from: random ones of `BACKBONE`, with five outputs, as a state dict in safetensors."""
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(untrained(BACKBONE, 5).state_dict(), path)
    return path


@pytest.fixture
def command() -> Command:
    """Run a command; returns its standard output, and lets its errors through."""

    def run(function: Callable[..., None], *arguments: object) -> str:
        app = typer.Typer()
        app.command()(function)
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run
