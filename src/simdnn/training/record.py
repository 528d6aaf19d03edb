"""Write the weights of a training, and a record of its result beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from simdnn.atomic import write_whole
from simdnn.evaluation.provenance import provenance


def write_weights(network: nn.Module, path: Path) -> None:
    """Write a network's weights in half precision, as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    write_whole(path, save({name: tensor.contiguous() for name, tensor in half.items()}))


def write_record(weights: Path, result: Mapping[str, Any]) -> Path:
    """Write the result with time, commit, versions, hardware and number of threads to ``<weights>.json``."""
    source = provenance()
    source["hardware"] |= {"threads": torch.get_num_threads()}
    record = dict(result) | {"time": datetime.now(UTC).isoformat(timespec="seconds")} | source
    path = weights.with_suffix(".json")
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
