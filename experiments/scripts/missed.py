"""Measure which attacked images a detector misses: `python experiments/scripts/missed.py`.

The attacked images of some columns, ordered by the network's confidence in the clean image that each was made from: by
the log-odds of its top class, in quarters of the clean test images that it labels correctly. The scores are those of
the benchmark's records; the attacked images come from its cache, or are made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from record import write_record
from simdnn.cli.progress import progress_bar
from simdnn.evaluation.intervals import auroc
from simdnn.evaluation.metrics import tpr_at_fpr
from simdnn.evaluation.plan_file import read_plan
from simdnn.evaluation.records import Records
from simdnn.evaluation.tested_network import Folders, TestedNetwork
from simdnn.networks.cache import default_cache
from simdnn.networks.classifier import Classifier


@torch.no_grad()
def log_odds(network: torch.nn.Module, pixels: Tensor) -> np.ndarray:
    """Return the log-odds of the top class, (N,), for images (N, 3, H, W) in [0, 1]."""
    top = torch.cat([network(part).log_softmax(1).amax(1) for part in torch.split(pixels, 16)])
    return (top - torch.log1p(-top.exp().clamp(max=1 - 1e-7))).numpy()


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, default=Path("experiments/plans/table4.toml"))
    parser.add_argument("--network", default="SqueezeNet", help="a row of the plan")
    parser.add_argument("--columns", default="ddn-20,ddn-40,ddn-60")
    parser.add_argument("--method", default="sim-dnn profile standard")
    options = parser.parse_args()
    plan = read_plan(options.plan)
    records = {
        record["column"]: record
        for record in Records(plan.records)
        if record["network"] == options.network and record["method"] == options.method
    }
    [network] = [one for one in plan.networks if one.row == options.network]
    folders = Folders(default_cache().parent, Path("build/weights"))
    log = Console(soft_wrap=True).print
    found: dict[str, Any] = {}
    with TestedNetwork(plan, network, folders, progress_bar) as tested:
        confidence = log_odds(Classifier(tested.backbone), tested.columns.pixels)
        bounds = np.quantile(confidence[tested.columns.network_correct], [0.25, 0.5, 0.75])
        clean = np.array(records["clean"]["scores"])
        for column in plan.columns:
            if column.label not in options.columns.split(","):
                continue
            with progress_bar(column.label) as progress:
                made = tested.columns.make(column, progress)
            rows = made.rows[made.fooled]
            change = (made.pixels[made.fooled] - tested.columns.pixels[rows]).flatten(1).norm(dim=1).numpy()
            scores, quarter = np.array(records[column.label]["scores"]), np.digitize(confidence[rows], bounds)
            assert len(scores) == len(rows), "the records are of other images"
            found[column.label] = [
                {
                    "n": int(part.sum()),
                    "auroc": auroc(clean, scores[part], seed=plan.seed)._asdict(),
                    "tpr_at_5": tpr_at_fpr(0.05, clean, scores[part], seed=plan.seed)._asdict(),
                    "l2_median": float(np.median(change[part])),
                }
                for part in (quarter == q for q in range(4))
            ]
            log(column.label, found[column.label])
    write_record(
        f"missed_{network.backbone}",
        {
            "network": network.row,
            "method": options.method,
            "quarters_end_at_log_odds": bounds.round(3).tolist(),
            "columns": found,
            "seed": plan.seed,
        }
        | tested.identity,
    )


if __name__ == "__main__":
    main()
