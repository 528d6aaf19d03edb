"""The guard in use, which can be changed while requests are answered."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from PIL import Image

from simdnn.errors import InputError, SimDNNError
from simdnn.guard.guard import Guard
from simdnn.guard.judge import Judge
from simdnn.service.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Model:
    """A guard that is loaded and warm.

    Attributes
    ----------
    guard : the guard, with its networks
    id : its model id
    file : where it came from
    """

    guard: Guard
    id: str
    file: Path
    _judges: dict[tuple[str | None, float | None], Judge] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path, settings: Settings) -> Model:
        """Load a guard with its networks, and judge one image with it, so that the next is judged at once.

        Raises
        ------
        SimDNNError
            If the file or its weights cannot be used.
        """
        guard = Guard.load(file, weights=settings.weights, trust=settings.trust, device=settings.device)
        guard.extractor.limits = settings.limits
        preprocess = guard.networks[0].spec.preprocess
        grey = preprocess(Image.new("RGB", (preprocess.size[1], preprocess.size[0]), "grey"))
        guard.check_tensors(grey[None])
        return cls(guard, guard.model_id, file)

    def judge(self, rule: str | None, alpha: float | None) -> Judge:
        """Return the judge for a rule and a false-alarm rate; InputError if there is none."""
        key = (None if rule == self.guard.settings.rule else rule, alpha)
        if key not in self._judges:
            if len(self._judges) >= _JUDGES:
                self._judges.clear()
            self._judges[key] = self.guard.judge(*key)
        return self._judges[key]


_JUDGES = 64
"""Judges that are kept."""


class Models:
    """The guard in use. A new one is loaded and warmed beside it; requests that came before finish with the old one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading = Lock()
        self._current: Model | None = None
        self.failure: str | None = None

    @property
    def current(self) -> Model | None:
        """The guard in use; None until the first is loaded and warm."""
        return self._current

    def load(self, file: Path | None = None) -> Model:
        """Load a guard and put it in use; the one before stays where that fails.

        Parameters
        ----------
        file : default the file in use, which may have been written anew

        Raises
        ------
        SimDNNError
            If the file or its weights cannot be used.
        """
        with self._loading:
            try:
                made = Model.load(file or self.file, self._settings)
            except SimDNNError as error:
                self.failure = str(error)
                _log.error("the guard was not loaded: %s", error)
                raise
            self._current, self.failure = made, None
            _log.warning("the guard %s is in use, from %s", made.id, made.file)
            return made

    async def change(self, file: Path | None = None) -> Model:
        """Load a guard as :meth:`load` does, while requests are answered."""
        return await asyncio.to_thread(self.load, file)

    @property
    def file(self) -> Path:
        """The file of the guard in use, or of the one that is to be loaded first."""
        return self._settings.guard if self._current is None else self._current.file

    def beside(self, name: str) -> Path:
        """Return the path of a guard file in the folder of the one that was served first; InputError for another."""
        if not name or name != Path(name).name or name.startswith(".") or "\0" in name:
            raise InputError(
                f"expected the name of a guard file in the folder of the one in use, such as new.simdnn; got {name!r}"
            )
        return self._settings.guard.parent / name
