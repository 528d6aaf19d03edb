"""The output folder of an attack: its images, their names, and ``attack.json``, from which a run can resume."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from simdnn.errors import InputError, OutputError
from simdnn.evaluation.provenance import provenance
from simdnn.images.picture import picture_of

RECORD = "attack.json"


def read_or_new_record(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an earlier run with the same settings, or a new one; nothing is written.

    Raises
    ------
    InputError
        If the folder is not a folder, or holds anything but such a run.
    """
    path = folder / RECORD
    with writing(folder):
        if path.is_file() and (earlier := _earlier_record(path, settings)):
            return earlier
        if not path.is_file() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"expected an empty or new folder, got {folder}; choose another with -o")
    return {"settings": settings, "images": []} | provenance()


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write ``attack.json``, completely or not at all, and create the folder if missing; errors are `writing`'s."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{RECORD}.part"
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        part.replace(folder / RECORD)


def write_image(folder: Path, name: Path, floats: Tensor, levels: Tensor) -> None:
    """Write ``<name>.safetensors`` with ``floats`` (3, H, W), and ``<name>.png`` with ``levels``, multiples of 1/255.

    Raises
    ------
    InputError, OutputError
        As of `writing`.
    """
    path = folder / name
    with writing(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        picture_of(levels).save(path.with_name(f"{path.name}.png"))
        path.with_name(f"{path.name}.safetensors").write_bytes(save({"image": floats.contiguous()}))


def image_names(paths: Sequence[Path], record: dict[str, Any]) -> dict[Path, Path]:
    """Return the name of each attacked image: ``<folder>/<stem>``, with the suffix as well if that is not unique.

    Raises
    ------
    InputError
        If two images, of this run or of the record, would still have the same name.
    """
    short = {path: Path(folder_name(path)) / path.stem for path in paths}
    count = Counter(short.values())
    names = {path: name if count[name] == 1 else name.with_name(path.name) for path, name in short.items()}
    taken = {e["attacked"]: e["path"] for e in record["images"] if "error" not in e}
    for path, name in names.items():
        other = taken.setdefault(f"{name}.png", str(path))
        if other != str(path):
            raise InputError(
                f"{other} and {path} would both be written as {name}.png, since their folders have the same name; "
                "attack them into two output folders"
            )
    return names


def folder_name(path: Path) -> str:
    """Return the name of an image's folder, from the absolute path, so that it is never ``..``."""
    return Path(os.path.abspath(path)).parent.name


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of writing into an OutputError, or an InputError where the folder is none, or not to be written."""
    try:
        yield
    except OSError as error:
        mistake = isinstance(error, (FileExistsError, NotADirectoryError, PermissionError))
        raise (InputError if mistake else OutputError)(
            f"cannot write attacked images into {folder}: {error.strerror or error}; choose another folder with -o"
        ) from error


def _earlier_record(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of an earlier run with the same settings; None if it has no images yet."""
    try:
        earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not earlier["images"]:
            return None
        before = earlier["settings"]
        different = sorted(k for k in settings.keys() | before.keys() if settings.get(k) != before.get(k))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; delete the folder, or choose another with -o") from error
    if different:
        raise InputError(
            f"{path.parent} holds an attack with another {', '.join(different)}; choose another folder with -o"
        )
    return earlier
