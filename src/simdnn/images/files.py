"""Finding image files: those that paths name, and labelled ones in class folders or a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from simdnn.errors import InputError
from simdnn.images.formats import IMAGE_SUFFIXES
from simdnn.images.reading import one_line


def find_images(paths: Iterable[Path]) -> list[Path]:
    """List the images that files and folders name.

    A file is taken as it is, whatever its suffix, so that one that is no image is reported when it is read. Folders
    are searched to the bottom, links to folders included, in the order of their names; there, files with one of
    `IMAGE_SUFFIXES` (in capitals or not) are taken. Other files and hidden ones are passed over.

    Raises
    ------
    InputError
        If a path does not exist, a folder cannot be listed, or no image is found at all.
    """
    named = list(paths)
    found: list[Path] = []
    for path in named:
        if os.path.isdir(path):
            found.extend(_images_below(path))
        elif os.path.exists(path):
            found.append(path)
        else:
            raise InputError(
                f"expected a file or folder, got {path}, which does not exist or is out of reach"
            )
    if not found:
        where = ", ".join(map(str, named)) or "an empty list of paths"
        raise InputError(f"expected images ({_suffixes()}), got none in {where}")
    return found


def labelled_images(data: Path) -> tuple[list[Path], list[str]]:
    """List labelled images from a folder or a CSV file.

    Parameters
    ----------
    data
        Either a folder with one subfolder per class, named as the class and searched as `find_images` does; hidden
        subfolders, and files beside the class folders that are no images, are passed over. Or a CSV file in UTF-8
        whose header names the columns ``path`` and ``label``; further columns are ignored and relative paths start
        at the CSV's own folder.

    Returns
    -------
    paths, labels
        Two lists of equal length, by class and then by name; for a CSV, in its order.

    Raises
    ------
    InputError
        If ``data`` does not exist; a class folder holds no image; an image lies beside the class folders and so has
        no label; or a line of the CSV lacks its path or label, names a file that does not exist, or one that an
        earlier line named. Lines are given by their number.
    """
    if os.path.isdir(data):
        return _from_folder(data)
    if os.path.exists(data):
        return _from_csv(data)
    raise InputError(
        f"expected a folder with one subfolder per class, or a CSV, got {data}, which does not exist"
    )


def _from_folder(data: Path) -> tuple[list[Path], list[str]]:
    try:
        entries = sorted(entry for entry in data.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{data} cannot be listed: {error.strerror}") from error
    strays = [
        entry.name for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES and not entry.is_dir()
    ]
    classes = [entry for entry in entries if entry.is_dir()]
    if strays:
        raise InputError(
            f"expected every image in {data} to lie in a class folder, got {len(strays)} beside them, such as "
            f"{strays[0]}; move or remove them"
        )
    if not classes:
        raise InputError(f"expected one subfolder per class in {data}, got none")
    paths: list[Path] = []
    labels: list[str] = []
    for folder in classes:
        images = list(_images_below(folder))
        if not images:
            raise InputError(
                f"expected images ({_suffixes()}) in each class folder, got none in {folder}; add some or remove it"
            )
        paths += images
        labels += [folder.name] * len(images)
    return paths, labels


def _from_csv(data: Path) -> tuple[list[Path], list[str]]:
    paths: list[Path] = []
    labels: list[str] = []
    line_of: dict[Path, int] = {}
    for line, name, label in _csv_rows(data):
        if not name or not label:
            raise InputError(f"{data}, line {line}: expected a path and a label, got {name!r} and {label!r}")
        path = data.parent / name
        try:
            file = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
            file = None
        if file is None or file.is_dir():
            raise InputError(
                f"{data}, line {line}: expected a file, got {path}, which does not exist or is a folder"
            )
        if file in line_of:
            raise InputError(
                f"{data}, line {line}: {name} was named in line {line_of[file]}; remove one of the two"
            )
        line_of[file] = line
        paths.append(path)
        labels.append(label)
    if not paths:
        raise InputError(f"expected labelled images in {data}, got a header and no line below it")
    return paths, labels


def _csv_rows(data: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, path and label of each row, stripped of blanks around them."""
    wanted = (
        f"expected a folder with one subfolder per class, or a CSV with the columns path,label, got {data}"
    )
    try:
        with data.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True, skipinitialspace=True)
            rows.fieldnames = [name.strip() for name in rows.fieldnames or ()]
            if not {"path", "label"} <= set(rows.fieldnames):
                raise InputError(f"{wanted} with the header {','.join(rows.fieldnames)[:80]!r}")
            for row in rows:
                if None in row:
                    raise InputError(
                        f"{data}, line {rows.line_num}: expected {len(rows.fieldnames)} values, got more; "
                        "put a path with a comma in quotation marks"
                    )
                yield rows.line_num, (row["path"] or "").strip(), (row["label"] or "").strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{wanted}, which is no CSV text in UTF-8: {one_line(error)}") from error
    except OSError as error:
        raise InputError(f"{wanted}, which cannot be read: {one_line(error.strerror)}") from error


def _images_below(folder: Path) -> Iterator[Path]:
    """Yield the images of a folder and its subfolders, sorted; links that lead back up are followed once."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}") from error

    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        seen.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(parent, name)) not in seen
        ]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ]
    yield from sorted(found)


def _suffixes() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES))
