"""Measure what 8-bit networks cost a guard: `python experiments/scripts/onnx_int8.py`. Needs SIMDNN_DATA.

A guard is fitted on some photographs of imagenette224/train and exported with int8 by others, twice: by those of
imagenette224/val, which the network has not seen either, and by more of train, which it has.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

from local_networks import NETWORKS, network
from onnx_equal import linked
from opinion_speed import of_each
from record import write_record
from simdnn.evaluation.int8 import export_int8
from simdnn.guard.guard import Guard
from simdnn.networks.extractor import Extractor
from simdnn.onnx.export import export_onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilenet_v2")
    parser.add_argument("--learned", type=int, default=100, help="photographs of each class")
    parser.add_argument("--more", type=int, default=60, help="further photographs of each class of train")
    parser.add_argument("--record", default="onnx_int8")
    asked = parser.parse_args()
    data = Path(os.environ["SIMDNN_DATA"])
    photographs = data / "imagenette224"
    learned = of_each(photographs / "train", slice(asked.learned)).paths
    more = of_each(photographs / "train", slice(asked.learned + asked.more)).paths
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        guard = Guard.fit(
            linked(learned, folder / "train"), Extractor([network(asked.network, data)]), view_seed=0
        )
        export_onnx(guard, folder / "float32.onnx")
        path = folder / "int8.onnx"
        losses = {
            "unseen": export_int8(guard, photographs / "val", path),
            "seen": export_int8(guard, linked(sorted({*more} - {*learned}), folder / "more"), path),
        }
        result = {
            "network": asked.network,
            "learned": len(learned),
            "float32_bytes": (folder / "float32.onnx").stat().st_size,
            "int8_bytes": path.stat().st_size,
            "losses": {name: asdict(loss) for name, loss in losses.items()},
        }
    print(json.dumps(result, indent=2))
    write_record(asked.record, result)


if __name__ == "__main__":
    main()
