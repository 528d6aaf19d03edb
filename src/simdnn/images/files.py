"""Find image files: in given files and folders, and labelled ones in class folders or a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from simdnn.errors import InputError
from simdnn.images.formats import IMAGE_SUFFIXES
from simdnn.images.names import class_order
from simdnn.images.table import table_rows
from simdnn.images.walk import Found, images_below

_PARTS = frozenset(
    {"train", "training", "val", "valid", "validation", "eval", "dev", "test", "testing", "holdout"}
)


def find_images(paths: Iterable[Path]) -> list[Path]:
    """List the images in files and folders: the ``images`` of `search_images`, with the same errors."""
    return search_images(paths).images


def search_images(paths: Iterable[Path]) -> Found:
    """List the images in files and folders, and the files that are passed over.

    A file is listed whatever its suffix; if it is no image, reading it reports that. Folders are searched with all
    subfolders and links, in the order of names. In a folder, files with one of `IMAGE_SUFFIXES`, in upper or lower
    case, are listed, each once. Other files and hidden ones are passed over: a caller that reports on a whole folder
    should say how many.

    Raises
    ------
    InputError
        If a path does not exist, a folder cannot be listed, or there is no image at all.
    """
    named = list(paths)
    seen = {os.path.realpath(path) for path in named if not os.path.isdir(path)}
    images: list[Path] = []
    passed_over: list[Path] = []
    for path in named:
        if os.path.isdir(path):
            found = images_below(path, seen)
            images += found.images
            passed_over += [other for other in found.passed_over if os.path.realpath(other) not in seen]
        elif os.path.exists(path):
            images.append(path)
        else:
            raise InputError(
                f"expected a file or folder, got {path}, which does not exist or is out of reach"
            )
    if not images:
        where = ", ".join(map(str, named)) or "an empty list of paths"
        raise InputError(f"expected images ({_suffixes()}), got none in {where}{_besides(passed_over)}")
    return Found(images, passed_over)


def labelled_images(data: Path) -> tuple[list[Path], list[str]]:
    """List labelled images from a folder or a CSV file.

    Parameters
    ----------
    data
        Either a folder with one subfolder per class, named as the class and searched as `find_images` does; hidden
        subfolders, and files beside the class folders that are no images, are passed over. Or a CSV file in UTF-8
        with the columns ``path`` and ``label``; further columns are ignored, and relative paths start at the folder
        of the CSV file.

    Returns
    -------
    paths, labels
        Two lists of equal length, by class in `class_order` and then by name; for a CSV, in its order.

    Raises
    ------
    InputError
        If ``data`` does not exist; its subfolders are parts of a data set, such as train and val; a class folder has
        no image; links put a file into two class folders; an image lies beside the class folders and so has no label;
        or a line of the CSV file lacks its path or label, names a file that does not exist, or repeats a file. The
        message has the number of the line.
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
    folders = {entry.name: entry for entry in entries if entry.is_dir()}
    if strays:
        raise InputError(
            f"expected every image in {data} to lie in a class folder, got {len(strays)} beside them, such as "
            f"{strays[0]}; move or remove them"
        )
    if not folders:
        raise InputError(f"expected one subfolder per class in {data}, got none")
    _check_no_parts(data, list(folders))
    paths: list[Path] = []
    labels: list[str] = []
    places: dict[tuple[int, int], Path] = {}
    for name in class_order(folders):
        found = images_below(folders[name])
        if not found.images:
            raise InputError(
                f"expected images ({_suffixes()}) in each class folder, got none in {folders[name]}"
                f"{_besides(found.passed_over)}; add some or remove it"
            )
        for path in found.images:
            earlier = places.setdefault(_identity(path), path)
            if earlier.relative_to(data).parts[0] != name:
                raise InputError(
                    f"expected every image in one class folder, got {earlier} again as {path}; remove one of the two"
                )
        paths += found.images
        labels += [name] * len(found.images)
    return paths, labels


def _check_no_parts(data: Path, names: list[str]) -> None:
    """Refuse a folder that holds train/ and val/, which would become two classes."""
    parts = [name for name in names if name.lower() in _PARTS]
    if len(parts) > 1 or parts == names:
        train = next((name for name in parts if name.lower().startswith("train")), parts[0])
        raise InputError(
            f"expected one subfolder per class in {data}, got {', '.join(parts)}, which look like parts of a data set; "
            f"give {data / train}"
        )


def _identity(path: Path) -> tuple[int, int]:
    """Return what is equal for two paths to the same file, by hard or symbolic links; a broken link is only itself."""
    try:
        status = path.stat()
    except OSError:
        status = path.lstat()
    return status.st_dev, status.st_ino


def _from_csv(data: Path) -> tuple[list[Path], list[str]]:
    paths: list[Path] = []
    labels: list[str] = []
    line_of: dict[tuple[int, int], int] = {}
    for line, (name, label) in table_rows(
        data, ("path", "label"), instead_of="a folder with one subfolder per class, or "
    ):
        if not name or not label:
            raise InputError(f"{data}, line {line}: expected a path and a label, got {name!r} and {label!r}")
        path = data.parent / name
        if not os.path.exists(path) or os.path.isdir(path):
            raise InputError(
                f"{data}, line {line}: expected a file, got {path}, which does not exist or is a folder"
            )
        earlier = line_of.setdefault(_identity(path), line)
        if earlier != line:
            raise InputError(
                f"{data}, line {line}: {name} was named in line {earlier}; remove one of the two"
            )
        paths.append(path)
        labels.append(label)
    if not paths:
        raise InputError(f"expected labelled images in {data}, got a header and no line below it")
    return paths, labels


def _besides(passed_over: list[Path]) -> str:
    """Describe the files that are no images, for the text of an error."""
    return f", but {len(passed_over):,} other files, such as {passed_over[0].name}" if passed_over else ""


def _suffixes() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES))
