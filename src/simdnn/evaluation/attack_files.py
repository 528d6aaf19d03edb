"""Attacking image files: attacked pictures as PNG and as floats, and a record of what became of each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from simdnn.attacks.adaptive.attack import Aware
from simdnn.attacks.adaptive.module import GuardedNetwork, Rejecting
from simdnn.attacks.attack import AttackResult, Recipe, attack, predict
from simdnn.errors import ImageReadError, InputError
from simdnn.evaluation.intervals import rate
from simdnn.evaluation.provenance import provenance
from simdnn.images.reading import read_image
from simdnn.networks.backbone import Backbone
from simdnn.networks.classifier import Classifier
from simdnn.progress import Progress

RECORD = "attack.json"
LABELS = ("own", "folders")


def attack_files(
    recipe: Recipe,
    backbone: Backbone,
    paths: Sequence[Path],
    output: Path,
    *,
    detector: GuardedNetwork | None = None,
    labels: str = "own",
    seed: int = 0,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Attack image files, and write ``<its folder's name>/<its name>.png`` and ``.safetensors`` for each.

    The PNG has the attacked picture at the network's size, rounded to 8 bits; the other file has the floats, under
    ``image`` (3, H, W). ``attack.json`` is written after every batch, so that a stopped run goes on where it was; one
    that could not be read is tried again.

    Parameters
    ----------
    recipe, backbone : the attack, and the network that it is made on
    paths : the images
    detector : the network with its guard; it judges what was attacked, and an attack that knows of it is made on it
    output : folder, made where absent; it may hold an earlier run with the same settings, and nothing else
    labels : ``"own"``: turn the network away from its own answer; ``"folders"``: from the class that the image's
        folder names
    seed : of the draws; those of a batch do not depend on the batches before
    batch_size : images attacked together
    progress : called with (done, total)

    Returns
    -------
    What ``attack.json`` holds: ``settings``, ``images`` (one object each), ``turned`` and ``turned_8bit`` (shares with
    95 % intervals, of the images that the network had right), with a detector ``through`` and ``through_8bit`` (turned
    and not flagged), and where it comes from.

    Raises
    ------
    InputError
        Before any work, if the output folder holds something else, two images would be written as one file, or a
        folder's name is no class of the network.
    """
    paths = list(dict.fromkeys(paths))
    truth = {path: _output(backbone, path) for path in paths} if labels == "folders" else None
    settings = {
        "attack": recipe.name,
        **asdict(recipe),
        "backbone": backbone.spec.name,
        "weights": backbone.weights_hash,
        "preprocess": json.loads(json.dumps(backbone.spec.preprocess.as_dict())),
        "labels": labels,
        "seed": seed,
        "batch_size": batch_size,
    }
    if detector is not None:
        settings |= {"detector": detector.model_id, "rule": detector.rule, "threshold": detector.threshold}
    record = _begun(output, settings)
    names = _names(paths, record)
    known = {e["path"] for e in record["images"] if "error" not in e or not _reads(Path(e["path"]))}
    for number, start in enumerate(range(0, len(paths), batch_size)):
        batch = paths[start : start + batch_size]
        if any(str(path) not in known for path in batch):
            kept = [entry for entry in record["images"] if entry["path"] not in set(map(str, batch))]
            made = _attack_batch(
                recipe, backbone, detector, batch, output, names, truth, (seed + number) % 2**63
            )
            record["images"] = kept + made
            _write(output, record)
        if progress is not None:
            progress(start + len(batch), len(paths))
    sound = [entry for entry in record["images"] if "error" not in entry and entry["right_before"]]
    for name in ("turned", "turned_8bit", "through", "through_8bit")[: 2 if detector is None else 4]:
        count = sum(entry[name] for entry in sound)
        record[name] = rate(count, len(sound))._asdict() | {"n": len(sound)} if sound else None
    _write(output, record)
    return record


def _attack_batch(
    recipe: Recipe,
    backbone: Backbone,
    detector: GuardedNetwork | None,
    batch: Sequence[Path],
    output: Path,
    names: dict[Path, Path],
    truth: dict[Path, int] | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Attack some images, write the pictures, and return an entry for each."""
    network = Classifier(backbone)
    entries: list[dict[str, Any]] = []
    pictures: dict[Path, Tensor] = {}
    for path in batch:
        try:
            pictures[path] = backbone.spec.preprocess(read_image(path))
        except ImageReadError as error:
            entries.append({"path": str(path), "error": str(error)})
    if not pictures:
        return entries
    pixels = torch.stack(list(pictures.values()))
    answers = predict(network, pixels)
    away_from = answers if truth is None else torch.tensor([truth[path] for path in pictures])
    attacked = Rejecting(detector) if detector is not None and isinstance(recipe, Aware) else network
    result = attack(recipe, attacked, pixels, away_from, seed=seed, batch_size=len(pixels))
    turned = predict(network, result.images) != away_from
    given = predict(network, result.images_8bit)
    for i, path in enumerate(pictures):
        where = output / names[path]
        where.parent.mkdir(parents=True, exist_ok=True)
        _save(where, result, i)
        entries.append(
            {
                "path": str(path),
                "attacked": str(names[path]) + ".png",
                "label": _name(backbone, int(away_from[i])),
                "label_after": _name(backbone, int(given[i])),
                "right_before": bool(answers[i] == away_from[i]),
                "turned": bool(turned[i]),
                "turned_8bit": bool(given[i] != away_from[i]),
                "l2": float(result.l2[i]),
                "linf": float(result.linf[i]),
            }
        )
    if detector is not None:
        sound = [entry for entry in entries if "error" not in entry]
        for form, images in (("", result.images), ("_8bit", result.images_8bit)):
            with torch.no_grad():
                scores = detector(images).score.tolist()
            for entry, score in zip(sound, scores, strict=True):
                entry[f"score{form}"] = score
                entry[f"through{form}"] = entry[f"turned{form}"] and score >= detector.threshold
    return entries


def _save(where: Path, result: AttackResult, i: int) -> None:
    levels = (result.images_8bit[i] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(where.with_name(f"{where.name}.png"))
    save_file({"image": result.images[i].contiguous()}, where.with_name(f"{where.name}.safetensors"))


def _begun(output: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an earlier run with the same settings, or a new one."""
    path = output / RECORD
    if path.is_file():
        try:
            earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            before = earlier["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged; delete the folder, or choose another with -o") from error
        different = sorted(k for k in settings.keys() | before.keys() if settings.get(k) != before.get(k))
        if different:
            raise InputError(
                f"{output} holds an attack with another {', '.join(different)}; choose another folder with -o"
            )
        return earlier
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"expected an empty or new folder, got {output}; choose another with -o")
    output.mkdir(parents=True, exist_ok=True)
    return {"settings": settings, "images": []} | provenance()


def _write(output: Path, record: dict[str, Any]) -> None:
    part = output / f"{RECORD}.part"
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(output / RECORD)


def _reads(path: Path) -> bool:
    try:
        read_image(path)
    except ImageReadError:
        return False
    return True


def _folder(path: Path) -> str:
    """Name the folder that an image is in; ``..`` is no name, and would lead out of the output folder."""
    return Path(os.path.abspath(path)).parent.name


def _names(paths: Sequence[Path], record: dict[str, Any]) -> dict[Path, Path]:
    """Name each attacked picture after its folder and itself; with its suffix where two would be named alike."""
    short = {path: Path(_folder(path)) / path.stem for path in paths}
    count = Counter(short.values())
    names = {path: name if count[name] == 1 else name.with_name(path.name) for path, name in short.items()}
    taken = {e["attacked"]: e["path"] for e in record["images"] if "error" not in e}
    for path, name in names.items():
        other = taken.setdefault(f"{name}.png", str(path))
        if other != str(path):
            raise InputError(
                f"{other} and {path} would both be written as {name}.png, since their folders have one name; "
                "attack them into two folders"
            )
    return names


def _output(backbone: Backbone, path: Path) -> int:
    """Return the output of the class that an image's folder names."""
    folder = _folder(path)
    wanted = folder.replace("_", " ").casefold()
    found = [i for i, name in enumerate(backbone.categories or ()) if name.casefold() == wanted]
    if len(found) == 1:
        return found[0]
    if folder.isdecimal() and int(folder) < backbone.n_classes:
        return int(folder)
    known = f"{len(found)} outputs of the network are" if found else "no output of the network is"
    raise InputError(
        f"{known} named as the folder {folder}; name the folder by the output's number, or leave out "
        "'--labels folders' to turn the network away from its own answers"
    )


def _name(backbone: Backbone, output: int) -> str:
    return backbone.categories[output] if backbone.categories else str(output)
