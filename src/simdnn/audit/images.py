"""Images of an audit store, each stored once under the hash of its content: in a folder, or at a URL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path
from typing import Any

from simdnn.atomic import whole_file
from simdnn.errors import AuditError


def open_images(where: Path | str) -> Images:
    """Return the images at a folder or at a URL that fsspec knows, such as ``s3://bucket/audit``.

    Raises
    ------
    AuditError
        If the URL's kind is unknown, or its package is not installed.
    """
    text = str(where)
    if "://" not in text:
        return ImageFolder(Path(text))
    if text.startswith("file://"):
        return ImageFolder(Path(text.removeprefix("file://")))
    return ImageBucket(text)


class Images(ABC):
    """Files named by the SHA-256 of their bytes, in subfolders by its first two digits.

    Back ends raise errors of their own; whatever they raise comes out as an AuditError.
    """

    where: Path | str

    @abstractmethod
    def path(self, digest: str) -> Path | str:
        """Return where the image with that hash is, which may not exist."""

    @abstractmethod
    def _has(self, digest: str) -> bool: ...

    @abstractmethod
    def _remove(self, digest: str) -> None: ...

    @abstractmethod
    def _read(self, digest: str) -> bytes: ...

    @abstractmethod
    def _write(self, digest: str, image: bytes) -> None: ...

    def has(self, digest: str) -> bool:
        """Say whether there is an image with that hash; its content is not looked at. AuditError if that fails."""
        try:
            return self._has(digest)
        except Exception as error:
            raise AuditError(f"cannot look for an image in {self.where}: {_reason(error)}") from error

    def put(self, image: bytes) -> str:
        """Store an image, completely or not at all, and return its hash; a damaged copy is replaced.

        Raises
        ------
        AuditError
            If it cannot be written.
        """
        digest = sha256(image).hexdigest()
        try:
            if not (self._has(digest) and self._read(digest) == image):
                self._write(digest, image)
        except Exception as error:
            raise AuditError(f"cannot keep an image in {self.where}: {_reason(error)}") from error
        return digest

    def get(self, digest: str) -> bytes:
        """Return the image with that hash; AuditError if it is missing, cannot be read or was altered."""
        try:
            image = self._read(digest)
        except FileNotFoundError as error:
            raise AuditError(
                f"the image {digest[:16]}... is not in {self.where}: {_reason(error)}"
            ) from error
        except Exception as error:
            raise AuditError(
                f"the image {digest[:16]}... cannot be read from {self.where}: {_reason(error)}"
            ) from error
        if sha256(image).hexdigest() != digest:
            raise AuditError(f"{self.path(digest)} was altered: its content does not match its name")
        return image

    def remove(self, digest: str) -> None:
        """Remove an image, if it is there; AuditError if that fails."""
        try:
            self._remove(digest)
        except Exception as error:
            raise AuditError(f"cannot remove {self.path(digest)}: {_reason(error)}") from error


class ImageFolder(Images):
    """A folder of this machine, for the owner's eyes alone; what was put is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.where: Path = folder

    def path(self, digest: str) -> Path:
        """Return the image's file."""
        return self.where / digest[:2] / digest

    def _has(self, digest: str) -> bool:
        return self.path(digest).is_file()

    def _remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def _read(self, digest: str) -> bytes:
        return self.path(digest).read_bytes()

    def _write(self, digest: str, image: bytes) -> None:
        self.where.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.path(digest)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with whole_file(path) as file:
            file.write(image)


class ImageBucket(Images):
    """What fsspec reaches by a URL: an object store's bucket, another machine's folder."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.where: str = url.rstrip("/")
        try:
            self._system: Any
            self._system, self._root = fsspec.core.url_to_fs(self.where)
        except Exception as error:
            raise AuditError(
                f"cannot keep images at {url.partition('://')[0]}://: {_reason(error)}"
            ) from error

    def path(self, digest: str) -> str:
        """Return the image's path in the bucket."""
        return f"{self._root}/{digest[:2]}/{digest}"

    def _has(self, digest: str) -> bool:
        return bool(self._system.exists(self.path(digest)))

    def _remove(self, digest: str) -> None:
        if self._has(digest):
            self._system.rm_file(self.path(digest))

    def _read(self, digest: str) -> bytes:
        content: bytes = self._system.cat_file(self.path(digest))
        return content

    def _write(self, digest: str, image: bytes) -> None:
        path = self.path(digest)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(path, image)


def _reason(error: Exception) -> str:
    """Return what an error says, in one line; without words, its type."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()) or type(error).__name__
