"""Attacking image files: attacked images as PNG and as floats, and a record of the outcome of each."""

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
    """Attack image files, and write ``<its folder's name>/<its name>.png`` and ``.safetensors`` for each.

    The PNG has the attacked image at the network's size, rounded to 8 bits; the other file has the floats, under
    ``image`` (3, H, W). ``attack.json`` is written after every batch, so that a stopped run continues; a file
    that could not be read is tried again.

    Parameters
    ----------
    attack, backbone : the attack, and the network that it attacks, on any device
    paths : the images
    output : folder, made where absent; it may hold an earlier run with the same settings, and nothing else
    detector : the network with its guard, on the same device; it scores the attacked images, and an `AdaptivePGD`
        attacks it
    labels : the class that the attack leads away from: ``"predicted"`` by the network, or that which the image's folder
        names (``"folders"``)
    seed : of the random numbers; those of a batch do not depend on the batches before
    batch_size : images attacked together
    progress : called with (done, total)

    Returns
    -------
    dict
        What ``attack.json`` holds: ``settings``; ``images`` (one object each); of the images that were classified
        correctly before, the shares ``misclassified`` and ``misclassified_8bit`` with 95 % intervals and, with a
        detector, ``evaded`` and ``evaded_8bit`` (misclassified and not flagged); and its provenance.

    Raises
    ------
    InputError
        Before any work, if the output folder cannot be written or holds something else, two images would be written as
        one file, or a folder's name is no class of the network. Later, if writing fails, as on a full disk.
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
    write_record(output, record)  # shows before the work that the folder can be written
    run = _Run(attack, backbone, detector, truth)
    known = {e["path"] for e in record["images"] if "error" not in e or not _is_readable(Path(e["path"]))}
    for number, start in enumerate(range(0, len(paths), batch_size)):
        batch = paths[start : start + batch_size]
        if any(str(path) not in known for path in batch):
            kept = [entry for entry in record["images"] if entry["path"] not in set(map(str, batch))]
            made = run.attack_batch(batch, output, names, (seed + number) % 2**63)
            record["images"] = kept + made
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
    """What all batches of a run share."""

    attack: Attack
    backbone: Backbone
    detector: GuardedNetwork | None
    truth: dict[Path, int] | None

    def attack_batch(
        self, batch: Sequence[Path], output: Path, names: dict[Path, Path], seed: int
    ) -> list[dict[str, Any]]:
        """Attack some images, write them, and return an entry for each."""
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
        sound: list[dict[str, Any]] = []
        for i, path in enumerate(images):
            write_image(output, names[path], result.images[i], result.images_8bit[i])
            sound.append(
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
                for entry, score in zip(sound, scores.tolist(), strict=True):
                    entry[f"score{form}"] = score
                    entry[f"evaded{form}"] = (
                        entry[f"misclassified{form}"] and score >= self.detector.threshold
                    )
        return entries + sound

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
    """Return the output of the class that an image's folder names."""
    folder = folder_name(path)
    wanted = folder.replace("_", " ").casefold()
    found = [i for i, name in enumerate(backbone.categories or ()) if name.casefold() == wanted]
    if len(found) == 1:
        return found[0]
    if folder.isdecimal() and int(folder) < backbone.n_classes:
        return int(folder)
    known = f"{len(found)} outputs of the network are" if found else "no output of the network is"
    raise InputError(
        f"{known} named as the folder {folder}; name the folder by the output's number, or leave out "
        "'--labels folders' to attack the network's own predictions"
    )


def _class_name(backbone: Backbone, output: int) -> str:
    return backbone.categories[output] if backbone.categories else str(output)
