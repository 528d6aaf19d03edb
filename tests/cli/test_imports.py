"""What a command imports: only what it uses, so that it starts soon."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simdnn.guard.guard import Guard

TELL = """
import json, sys
from simdnn.cli import app
app(sys.argv[1:], standalone_mode=False)
print(json.dumps(sorted(sys.modules)))
"""
NETWORK = "simdnn.networks.digits:digits_network"
NEVER = {"scipy", "sklearn", "matplotlib", "sqlalchemy", "pyarrow", "rich", "numba", "numpy.f2py"}
"""What checking one image has no use for."""


def imported(*arguments: object) -> set[str]:
    """Return the modules that a command has imported in a process of its own."""
    command = [sys.executable, "-c", TELL, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_check_imports_no_more_than_it_uses(digits: Path) -> None:
    image = next((digits / "test" / "3").iterdir())
    found = imported(
        "check", digits / "guard.simdnn", image, "--trust", "simdnn.networks.digits:digits_network"
    )
    assert not found & NEVER
    assert "torch._dynamo" not in found


def test_an_exported_guard_is_checked_without_pytorch(digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs simdnn[export]")
    from simdnn.onnx.export import export_onnx

    export_onnx(
        Guard.load(digits / "guard.simdnn", trust=["simdnn.networks.digits:digits_network"]),
        tmp_path / "g.onnx",
    )
    found = imported("check", tmp_path / "g.onnx", next((digits / "test" / "3").iterdir()))
    assert not found & (NEVER | {"torch", "torchvision"})


def test_a_torchvision_network_is_built_without_the_compiler(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from simdnn.networks.loading import torchvision_network; "
        "from pathlib import Path; network = torchvision_network('mobilenet_v2', Path(sys.argv[1])); "
        "assert 'torch._dynamo' not in sys.modules; "
        "roi = sys.modules['torchvision.ops.roi_align']; assert roi.is_compile_supported('cpu') in (True, False); "
        "assert 'torch._dynamo' in sys.modules; "
        "print(sum(bool(p.isnan().any()) for p in network.parameters()))"
    )
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision.models")
    path = tmp_path / "weights.pth"
    torch.save(models.mobilenet_v2(weights=None, num_classes=3).state_dict(), path)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr
