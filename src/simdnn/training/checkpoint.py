"""Checkpoints: the state of a training between two epochs, in one file."""

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
    """Write the states of network, optimizer and so on after ``epochs`` epochs, completely or not at all.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = io.BytesIO()
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"identity": json.dumps(identity), "epochs": epochs, "states": states}, content)
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise InputError(f"cannot write the checkpoint {path}: {error.strerror}") from error


def read_checkpoint(path: Path, parts: Mapping[str, Any], identity: Mapping[str, Any]) -> int:
    """Load the states of a checkpoint into ``parts``; return the number of epochs done, 0 without a file.

    Raises
    ------
    InputError
        If the file is no checkpoint, or belongs to a training with another ``identity``; the message has the first
        difference.
    """
    if not path.exists():
        return 0
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        theirs, epochs, states = json.loads(content["identity"]), int(content["epochs"]), content["states"]
    except Exception as error:  # the reader raises almost any type on damaged bytes
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
