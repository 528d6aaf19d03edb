"""Where images come from: files that any file system of fsspec reaches, or Parquet tables with bytes and labels."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simdnn.errors import InputError
from simdnn.images.files import labelled_images, search_images
from simdnn.images.formats import IMAGE_SUFFIXES
from simdnn.images.names import class_order

_FACTS = ("size", "mtime", "created", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash")
"""What file systems of fsspec tell of a file that changes with its content, by the names that each gives it."""


class Named(str):
    """The id of an image that is no file of this machine: a URL, or a row of a table."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Its last part, as a file's."""
        return self.rstrip("/").rpartition("/")[2]


class Source(ABC):
    """Images that a cluster reads."""

    @property
    @abstractmethod
    def _found(self) -> tuple[Sequence[Path | Named], Sequence[str]]:
        """Names, as `names`, and labels, as `labels`; looked for once."""

    @property
    def names(self) -> Sequence[Path | Named]:
        """Of all images, in their order."""
        return self._found[0]

    @property
    def labels(self) -> Sequence[str]:
        """(N,) the class of each; empty texts where no classes are needed."""
        return self._found[1]

    @abstractmethod
    def stamps(self, names: Sequence[Path | Named]) -> list[str]:
        """Return texts that are others once the content of one of the images is: sizes, times, hashes of a store."""

    @abstractmethod
    def dataset(self, names: Sequence[Path | Named]) -> tuple[Any, dict[str, int]]:
        """Return a Ray dataset with columns ``id`` or ``path``, and ``bytes``, and the places of the ids in ``names``.

        There may be more rows in it than were asked for.
        """

    @abstractmethod
    def read(self, name: Path | Named) -> bytes | Path:
        """Return one image: a file of this machine, or its bytes."""


def find_source(data: Iterable[Path | str], *, labelled: bool) -> Source:
    """Choose the source of folders, files, URLs or Parquet tables.

    Parameters
    ----------
    data : what was named on the command line
    labelled : whether each image needs a class

    Raises
    ------
    InputError
        If nothing is there, or kinds are mixed.
    """
    named = [_url(path) for path in data]
    if any(name.endswith(".parquet") for name in named):
        if len(named) > 1:
            raise InputError(f"expected one Parquet file or folder (NAME.parquet), got {len(named)} paths")
        return ParquetSource(named[0])
    if any("://" in name for name in named):
        return UrlSource(named, labelled)
    return FileSource([Path(name) for name in named], labelled)


@dataclass(frozen=True)
class FileSource(Source):
    """Files of a folder that every machine of the cluster sees under the same path."""

    paths: list[Path]
    labelled: bool

    @cached_property
    def _found(self) -> tuple[list[Path], list[str]]:
        if self.labelled:
            return labelled_images(self.paths[0])
        found = search_images(self.paths).images
        return found, [""] * len(found)

    def stamps(self, names: Sequence[Path | Named]) -> list[str]:
        """Return size and time of each file; an empty text for one that is not there."""
        return [_stamp(Path(name)) for name in names]

    def dataset(self, names: Sequence[Path | Named]) -> tuple[Any, dict[str, int]]:
        """Read the files."""
        from ray.data import read_binary_files

        files = [str(Path(name).absolute()) for name in names]
        return read_binary_files(files, include_paths=True), {file: i for i, file in enumerate(files)}

    def read(self, name: Path | Named) -> bytes | Path:
        """Return the file."""
        return Path(name)


@dataclass(frozen=True)
class UrlSource(Source):
    """Files below URLs such as ``s3://bucket/train``, one folder per class where classes are needed."""

    urls: list[str]
    labelled: bool

    @cached_property
    def _stamps(self) -> dict[str, str]:
        """What the file system tells of each file, by its URL; filled as they are found."""
        return {}

    @cached_property
    def _found(self) -> tuple[list[Named], list[str]]:
        found: dict[str, str] = {}
        for url in self.urls:
            filesystem, root = _filesystem(url)
            for path, facts in filesystem.find(root, detail=True).items():
                inner = path.removeprefix(root.rstrip("/")).strip("/").split("/")
                hidden = any(part.startswith(".") for part in inner)
                if not hidden and (path == root or Path(path).suffix.lower() in IMAGE_SUFFIXES):
                    if self.labelled and len(inner) < 2:
                        raise InputError(
                            f"expected every image in a class folder of {url}, got {path} beside them"
                        )
                    name = str(filesystem.unstrip_protocol(path))
                    found[name] = inner[0]
                    self._stamps[name] = " ".join(str(facts[fact]) for fact in _FACTS if fact in facts)
        if not found:
            raise InputError(f"expected images below {', '.join(self.urls)}, got none")
        if not self.labelled:
            return [Named(url) for url in sorted(found)], [""] * len(found)
        place = {label: i for i, label in enumerate(class_order(found.values()))}
        order = sorted(found, key=lambda url: (place[found[url]], url))
        return [Named(url) for url in order], [found[url] for url in order]

    def stamps(self, names: Sequence[Path | Named]) -> list[str]:
        """Return what the file system told of each file as it was found."""
        _ = self._found
        return [self._stamps.get(str(name), "") for name in names]

    def dataset(self, names: Sequence[Path | Named]) -> tuple[Any, dict[str, int]]:
        """Read the files through fsspec."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem
        from ray.data import read_binary_files

        filesystem, _ = _filesystem(self.urls[0])
        files = [str(filesystem._strip_protocol(str(name))) for name in names]
        through = PyFileSystem(FSSpecHandler(filesystem))
        dataset = read_binary_files(files, include_paths=True, filesystem=through)
        return dataset, {file: i for i, file in enumerate(files)}

    def read(self, name: Path | Named) -> bytes | Path:
        """Fetch one file."""
        filesystem, path = _filesystem(str(name))
        content: bytes = filesystem.cat_file(path)
        return content


@dataclass(frozen=True)
class ParquetSource(Source):
    """A Parquet file, or a folder of them, with columns ``id``, unique text or numbers, ``bytes`` and ``label``."""

    url: str

    @cached_property
    def _found(self) -> tuple[list[Named], list[str]]:
        table = self._table(["id", "label"])
        ids = [Named(value) for value in table["id"].to_pylist()]
        if len(set(ids)) < len(ids):
            twice = next(name for i, name in enumerate(ids) if name in ids[:i])
            raise InputError(f"expected a different id in each row of {self.url}, got {twice!r} twice")
        labels = table["label"].to_pylist() if "label" in table.column_names else [""] * len(ids)
        return ids, ["" if label is None else str(label) for label in labels]

    def stamps(self, names: Sequence[Path | Named]) -> list[str]:
        """Return size and time of each file of the table."""
        del names  # any of its rows may be in any of its files
        found = self._dataset()
        return [f"{file.size} {file.mtime_ns}" for file in found.filesystem.get_file_info(found.files)]

    def dataset(self, names: Sequence[Path | Named]) -> tuple[Any, dict[str, int]]:
        """Read the whole table; actors pass over the rows that were not asked for."""
        from ray.data import read_parquet

        rows = read_parquet(self.url).select_columns(["id", "bytes"])
        return rows, {str(name): i for i, name in enumerate(names)}

    def read(self, name: Path | Named) -> bytes | Path:
        """Read one row."""
        import pyarrow.compute as compute

        table = self._table(["id", "bytes"], compute.field("id").cast("string") == str(name))
        content: bytes = table["bytes"][0].as_py()
        return content

    def _dataset(self) -> Any:
        from pyarrow.dataset import dataset

        return dataset(self.url, format="parquet")

    def _table(self, columns: list[str], only: Any = None) -> Any:
        import pyarrow

        try:
            found = self._dataset()
            lacking = {"id", "bytes"} - set(found.schema.names)
            if lacking:
                raise InputError(
                    f"expected the columns id and bytes in {self.url}, got no {sorted(lacking)[0]}"
                )
            return found.to_table([name for name in columns if name in found.schema.names], filter=only)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(
                f"{self.url} cannot be read as Parquet: {' '.join(str(error).split())}"
            ) from error


def _url(path: Path | str) -> str:
    """Return a path as it was typed: `Path` keeps one of several slashes behind a protocol."""
    lost = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)", str(path))
    if lost is None:
        return str(path)
    root = "/" if lost[1] in ("file", "local") else ""
    return f"{lost[1]}://{root}{str(path)[lost.end() :]}"


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, root = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise InputError(f"{url} is out of reach: {error}") from error
    return filesystem, str(root)
