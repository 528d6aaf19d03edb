"""The provenance of a result: commit, versions and hardware."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from simdnn.errors import InputError

PACKAGES = (
    "simdnn",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "torch",
    "torchvision",
    "secml-torch",
    "foolbox",
    "pyautoattack",
    "pytorch-ood",
)

WITH_CHANGES = " with changes"
"""End of a commit whose working tree had changes."""

RECORDS = "experiments/records"
"""What is measured is written there; it changes nothing that is measured later."""


def provenance() -> dict[str, Any]:
    """Return commit, versions and hardware, for JSON, so that a measurement can be repeated."""
    return {
        "commit": commit(Path(__file__)),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "hardware": {
            "system": platform.system(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def commit(file: Path) -> str | None:
    """Return the commit of a file's repository, or None if git does not track the file.

    It is marked if tracked files other than records were changed, or if git cannot say so in time.
    """
    if _git(file, "ls-files", "--error-unmatch", file.name) is None:
        return None
    found = _git(file, "rev-parse", "HEAD")
    others = (":(top)", f":(top,exclude){RECORDS}")
    changed = _git(file, "status", "--porcelain", "--untracked-files=no", "--", *others)
    return f"{found}{WITH_CHANGES}" if found and changed != "" else found


def require_clean() -> None:
    """Stop with an InputError if the working tree of this code has changes: its records could not be made again."""
    found = commit(Path(__file__))
    if found is not None and found.endswith(WITH_CHANGES):
        raise InputError(
            "the working tree has changes that are not committed, so that what is measured could not be measured "
            "again; commit them, or measure with --dirty, which the tables will show"
        )


def _git(file: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *command], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
