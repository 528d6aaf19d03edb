"""The state of a training between two epochs, in one file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from simdnn.atomic import write_whole
from simdnn.errors import InputError


def write_checkpoint(path: Path, parts: Mapping[str, Any], identity: Mapping[str, Any], epochs: int) -> None:
    """Write what ``epochs`` epochs came to, whole or not at all."""
    content = io.BytesIO()
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"identity": json.dumps(identity), "epochs": epochs, "states": states}, content)
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise InputError(f"cannot write the checkpoint {path}: {error.strerror}") from error


def read_checkpoint(path: Path, parts: Mapping[str, Any], identity: Mapping[str, Any]) -> int:
    """Put the states in a checkpoint into the parts and return how many epochs they have seen; 0 without a file.

    Raises
    ------
    InputError
        If the file is no checkpoint, or of a training with another ``identity``; the first difference is named.
    """
    if not path.exists():
        return 0
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        theirs, epochs, states = json.loads(found["identity"]), int(found["epochs"]), found["states"]
    except Exception as error:  # damaged bytes make the reader fail with almost any type
        raise InputError(
            f"expected a checkpoint of a training in {path}, got something else or a damaged file; "
            "remove it to start anew"
        ) from error
    ours = json.loads(json.dumps(identity))
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            raise InputError(
                f"{path} is the checkpoint of another training: its {name} is {theirs.get(name)!r:.80}, not "
                f"{ours.get(name)!r:.80}; give the same settings to go on, or remove it to start anew"
            )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return epochs
