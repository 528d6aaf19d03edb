"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.trained_digits import TrainedDigits

pytest_plugins = ["tests.stores"]

Simdnn = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder with real photographs and weights; the tests that need it are skipped where it is absent."""
    folder = os.environ.get("SIMDNN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the photographs and weights that SIMDNN_DATA points to")
    return Path(folder)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with scikit-learn's digits as pictures, a small network's weights, and its guard.

    ``network``, ``train`` and ``test`` are the parts of the digits, with 599 each; ``weights.safetensors`` is for
    ``simdnn.networks.digits:digits_network``; ``guard.simdnn`` is fitted on ``train``. Tests leave all of it as it is.
    """
    from tests.guard.networks import digits_backbone

    from simdnn.digits import train_network, write_digits
    from simdnn.guard.guard import Guard
    from simdnn.networks.extractor import Extractor

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    train_network(folder / "network", folder / "weights.safetensors", epochs=4)
    Guard.fit(folder / "train", Extractor([digits_backbone(folder)]), rule="similarity").save(
        folder / "guard.simdnn"
    )
    return folder


@pytest.fixture(scope="session")
def trained_digits(tmp_path_factory: pytest.TempPathFactory) -> TrainedDigits:
    """The digits with the fully trained network, for tests that need a good one; ``digits`` has a quicker one.

    ``trained_digits.folder`` has the parts ``network``, ``train`` and ``test``; ``.weights(seed)`` and
    ``.backbone(seed)`` train the network on first use, once a session. Tests leave all of it as it is.
    """
    from tests.trained_digits import TrainedDigits

    return TrainedDigits(tmp_path_factory.mktemp("trained-digits"))


@contextmanager
def restored_torch_settings() -> Iterator[None]:
    """Put PyTorch's number of threads and default type back as they were."""
    torch = sys.modules.get("torch")
    before = None if torch is None else (torch.get_num_threads(), torch.get_default_dtype())
    yield
    if torch is not None and before is not None:
        threads, dtype = before
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


@pytest.fixture(scope="module", autouse=True)
def _torch_settings_of_the_module() -> Iterator[None]:
    with restored_torch_settings():
        yield


@pytest.fixture(autouse=True)
def _torch_settings_of_the_test(_torch_settings_of_the_module: None) -> Iterator[None]:
    with restored_torch_settings():
        yield


@pytest.fixture
def simdnn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simdnn:
    """Run the command line; returns exit status, standard output and standard error."""
    from simdnn.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["simdnn", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        return code, out, err

    return run
