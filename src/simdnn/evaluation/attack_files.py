"""Attack image files; write the attacked images as PNG and as floats, with a record of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simdnn.attacks.adaptive.module import GuardedNetwork, Rejecting
from simdnn.attacks.adaptive.pgd import AdaptivePGD
from simdnn.attacks.attack import Attack, predict, run_attack
from simdnn.errors import ImageReadError, InputError
from simdnn.evaluation.adaptive.scoring import predict_and_score
from simdnn.evaluation.attack_folder import (
    folder_name,
    image_names,
    read_or_new_record,
    write_image,
    write_record,
)
from simdnn.evaluation.intervals import rate
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone
from simdnn.networks.classifier import Classifier
from simdnn.progress import Progress

LABELS = ("predicted", "folders")


def attack_files(
    attack: Attack,
    backbone: Backbone,
    paths: Sequence[Path],
    output: Path,
    *,
    detector: GuardedNetwork | None = None,
    labels: str = "predicted",
    seed: int = 0,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Attack image files, and write ``<folder's name>/<stem>.png`` and ``.safetensors`` for each.

    The PNG has the attacked image at the network's input size, rounded to 8 bits. The other file has the float image
    (3, H, W) under the name ``image``. ``attack.json`` is written after every batch, so that a stopped run can resume;
    unreadable files are tried again.

    Parameters
    ----------
    attack, backbone : the attack, and the network that it attacks, on any device
    paths : the image files
    output : folder, created if missing; it may hold an earlier run with the same settings, and nothing else
    detector : the network with its guard, on the same device. It scores the attacked images; an `AdaptivePGD` attacks
        network and guard together
    labels : the true classes: ``"predicted"`` by the network on the clean images, or named by the ``"folders"``
    seed : seed of the random numbers; those of a batch do not depend on earlier batches
    batch_size : number of images attacked together
    progress : called after every batch

    Returns
    -------
    dict
        The content of ``attack.json``: ``settings``; ``images``, an object for each; the shares ``misclassified`` and
        ``misclassified_8bit`` of the images that were classified correctly before, with 95 % intervals; with a
        detector also ``evaded`` and ``evaded_8bit`` (misclassified and not flagged); and the provenance.

    Raises
    ------
    InputError
        Before any attack, if the output folder cannot be written or holds anything else, two images would have the same
        name, or a folder's name is no class of the network. Later, if writing fails, as on a full disk.
    """
    paths = list(dict.fromkeys(paths))
    truth = {path: _class_of_folder(backbone, path) for path in paths} if labels == "folders" else None
    settings = {
        "attack": attack.name,
        **asdict(attack),
        "backbone": backbone.spec.name,
        "weights": backbone.weights_hash,
        "preprocess": json.loads(json.dumps(backbone.spec.preprocess.as_dict())),
        "labels": labels,
        "seed": seed,
        "batch_size": batch_size,
    }
    if detector is not None:
        settings |= {
            "detector": detector.model_id,
            "rule": detector.rule.name,
            "threshold": detector.threshold,
        }
    record = read_or_new_record(output, settings)
    names = image_names(paths, record)
    write_record(output, record)  # fails before any attack if the folder cannot be written
    run = _Run(attack, backbone, detector, truth)
    done = {e["path"] for e in record["images"] if "error" not in e or not _is_readable(Path(e["path"]))}
    for number, start in enumerate(range(0, len(paths), batch_size)):
        batch = paths[start : start + batch_size]
        if any(str(path) not in done for path in batch):
            others = [entry for entry in record["images"] if entry["path"] not in set(map(str, batch))]
            record["images"] = others + run.attack_batch(batch, output, names, (seed + number) % 2**63)
            write_record(output, record)
        if progress is not None:
            progress(start + len(batch), len(paths))
    counted = [entry for entry in record["images"] if entry.get("correct_before")]
    for name in ("misclassified", "misclassified_8bit", "evaded", "evaded_8bit")[
        : 2 if detector is None else 4
    ]:
        count = sum(entry[name] for entry in counted)
        record[name] = rate(count, len(counted))._asdict() | {"n": len(counted)} if counted else None
    write_record(output, record)
    return record


@dataclass(frozen=True)
class _Run:
    """The settings that all batches of a run share."""

    attack: Attack
    backbone: Backbone
    detector: GuardedNetwork | None
    truth: dict[Path, int] | None

    def attack_batch(
        self, batch: Sequence[Path], output: Path, names: dict[Path, Path], seed: int
    ) -> list[dict[str, Any]]:
        """Attack a batch of images, write them, and return their entries for the record."""
        network = Classifier(self.backbone)
        images, entries = self._read(batch)
        if not images:
            return entries
        pixels = torch.stack(list(images.values()))
        before = predict(network, pixels)
        labels = before if self.truth is None else torch.tensor([self.truth[path] for path in images])
        model: nn.Module = network
        if self.detector is not None and isinstance(self.attack, AdaptivePGD):
            model = Rejecting(self.detector)
        result = run_attack(self.attack, model, pixels, labels, seed=seed, batch_size=len(pixels))
        after = {"": predict(network, result.images), "_8bit": predict(network, result.images_8bit)}
        attacked: list[dict[str, Any]] = []
        for i, path in enumerate(images):
            write_image(output, names[path], result.images[i], result.images_8bit[i])
            attacked.append(
                {
                    "path": str(path),
                    "attacked": str(names[path]) + ".png",
                    "label": _class_name(self.backbone, int(labels[i])),
                    "label_after": _class_name(self.backbone, int(after["_8bit"][i])),
                    "correct_before": bool(before[i] == labels[i]),
                    "misclassified": bool(after[""][i] != labels[i]),
                    "misclassified_8bit": bool(after["_8bit"][i] != labels[i]),
                    "l2": float(result.l2[i]),
                    "linf": float(result.linf[i]),
                }
            )
        if self.detector is not None:
            for form, tensors in (("", result.images), ("_8bit", result.images_8bit)):
                _, scores = predict_and_score(self.detector, tensors, len(tensors))
                for entry, score in zip(attacked, scores.tolist(), strict=True):
                    entry[f"score{form}"] = score
                    entry[f"evaded{form}"] = (
                        entry[f"misclassified{form}"] and score >= self.detector.threshold
                    )
        return entries + attacked

    def _read(self, batch: Sequence[Path]) -> tuple[dict[Path, Tensor], list[dict[str, Any]]]:
        """Return the images (3, H, W) that can be read, and entries for those that cannot."""
        images: dict[Path, Tensor] = {}
        errors: list[dict[str, Any]] = []
        for path in batch:
            try:
                images[path] = self.backbone.spec.preprocess(read_image(path))
            except ImageReadError as error:
                errors.append({"path": str(path), "error": str(error)})
        return images, errors


def _is_readable(path: Path) -> bool:
    try:
        read_image(path)
    except ImageReadError:
        return False
    return True


def _class_of_folder(backbone: Backbone, path: Path) -> int:
    """Return the output of the class that an image's folder names, by name or number; InputError if there is none."""
    folder = folder_name(path)
    wanted = folder.replace("_", " ").casefold()
    outputs = [i for i, name in enumerate(backbone.categories or ()) if name.casefold() == wanted]
    if len(outputs) == 1:
        return outputs[0]
    if folder.isdecimal() and int(folder) < backbone.n_classes:
        return int(folder)
    matches = f"{len(outputs)} outputs of the network are" if outputs else "no output of the network is"
    raise InputError(
        f"{matches} named as the folder {folder}; name the folder by the output's number, or leave out "
        "'--labels folders' to attack the network's own predictions"
    )


def _class_name(backbone: Backbone, output: int) -> str:
    return backbone.categories[output] if backbone.categories else str(output)
