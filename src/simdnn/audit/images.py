"""A folder of image files, each stored once under the hash of its content."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from simdnn.atomic import whole_file
from simdnn.errors import AuditError


class ImageFolder:
    """A folder of files named by the SHA-256 of their bytes, in subfolders by its first two digits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Return the path of the image with that hash, which may not exist."""
        return self.folder / digest[:2] / digest

    def put(self, image: bytes) -> str:
        """Store an image, completely or not at all, and return its hash; a damaged copy is replaced.

        Raises
        ------
        AuditError
            If it cannot be written.
        """
        digest = sha256(image).hexdigest()
        path = self.path(digest)
        try:
            if path.is_file() and path.read_bytes() == image:
                return digest
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with whole_file(path) as file:
                file.write(image)
        except OSError as error:
            raise AuditError(f"cannot keep an image in {self.folder}: {error.strerror}") from error
        return digest

    def get(self, digest: str) -> bytes:
        """Return the image with that hash; AuditError if it is missing or was altered."""
        try:
            image = self.path(digest).read_bytes()
        except OSError as error:
            raise AuditError(
                f"the image {digest[:16]}... is not in {self.folder}: {error.strerror}"
            ) from error
        if sha256(image).hexdigest() != digest:
            raise AuditError(f"{self.path(digest)} was altered: its content does not match its name")
        return image
