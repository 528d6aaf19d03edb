"""The files of the demonstration."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from simdnn.errors import InputError


@dataclass(frozen=True)
class DemoPaths:
    """Paths of all files that the demonstration writes into its folder."""

    folder: Path

    @property
    def digits(self) -> Path:
        """The images, in ``network``, ``train`` and ``test``."""
        return self.folder / "digits"

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.folder / "digits.safetensors"

    @property
    def guard(self) -> Path:
        """The fitted guard."""
        return self.folder / "guard.simdnn"

    @property
    def attacked(self) -> Path:
        """The attacked and the noisy images, one subfolder for each attack and control."""
        return self.folder / "attacked"

    @property
    def audit(self) -> Path:
        """The audit store with the flagged images."""
        return self.folder / "audit.db"

    @property
    def audit_images(self) -> Path:
        """The flagged images, named by the hash of their content."""
        return self.folder / "audit-images"

    @property
    def results(self) -> Path:
        """The measured rates with their intervals, versions and hardware."""
        return self.folder / "results.json"

    @property
    def report(self) -> Path:
        """The report in HTML."""
        return self.folder / "report.html"

    def prepare(self) -> None:
        """Create the folder, or empty that of an earlier demonstration.

        Raises
        ------
        InputError
            If the folder holds anything else, or cannot be written.
        """
        mark = self.folder / ".simdnn-demo"
        if (
            self.folder.exists()
            and not mark.is_file()
            and (self.folder.is_file() or any(self.folder.iterdir()))
        ):
            raise InputError(
                f"expected an empty or new folder for the demo, got {self.folder}; choose another with -o"
            )
        try:
            if mark.is_file():
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            raise InputError(
                f"cannot write into {self.folder}: {error.strerror}; choose another with -o"
            ) from error
