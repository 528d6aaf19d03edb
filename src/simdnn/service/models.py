"""The guard in use, which can be changed while requests are answered."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import structlog
from PIL import Image

from simdnn.atomic import write_whole
from simdnn.conformal.drift import DriftMonitor
from simdnn.errors import InputError, SimDNNError
from simdnn.guard.guard import Guard
from simdnn.guard.judge import Judge
from simdnn.service.settings import Settings

_log = structlog.get_logger("simdnn.service")

_JUDGES = 64
"""Judges of rules and false-alarm rates that are kept."""


@dataclass(frozen=True, eq=False)
class Model:
    """A guard that is loaded and warm.

    Attributes
    ----------
    guard : the guard, with its networks
    id : its model id
    file : where it came from
    drift : watches the scores of its own rule
    """

    guard: Guard
    id: str
    file: Path
    drift: DriftMonitor
    _judges: dict[tuple[str | None, float | None], Judge] = field(default_factory=dict)
    _making: Lock = field(default_factory=Lock)

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
        model = cls(guard, guard.model_id, file, guard.drift_monitor())
        model.judge(None, None)
        return model

    def judge(self, rule: str | None, alpha: float | None) -> Judge:
        """Return the judge for a rule and a false-alarm rate; InputError if there is none."""
        key = (None if rule == self.guard.settings.rule else rule, alpha)
        with self._making:
            found = self._judges.get(key)
            if found is None:
                if len(self._judges) >= _JUDGES:
                    self._judges.clear()
                found = self._judges[key] = self.guard.judge(*key)
            return found


class Models:
    """The guard in use. A new one is loaded and warmed beside it; images that came before are judged by the old one.

    All workers of a service follow: which file is in use stands in the folder that they share.

    Parameters
    ----------
    settings : how the service runs
    used : told each guard that comes into use

    Attributes
    ----------
    failure : why the last guard that was to be loaded was not; None if it was
    """

    def __init__(self, settings: Settings, used: Callable[[Model], None]) -> None:
        self._settings = settings
        self._used = used
        self._loading = Lock()
        self._pointer = settings.runtime / "guard-in-use"
        self._current: Model | None = None
        self.failure: str | None = None

    @property
    def current(self) -> Model | None:
        """The guard in use; None until the first is loaded and warm."""
        return self._current

    @property
    def file(self) -> Path:
        """The file of the guard that all workers use."""
        return Path(self._pointer.read_text()) if self._pointer.exists() else self._settings.guard

    def load(self, file: Path | None = None, record: Callable[[Model], None] | None = None) -> Model:
        """Load a guard and put it in use in this process; the one before stays where that fails.

        Parameters
        ----------
        file : default the file in use, which may have been written anew
        record : told the guard once it is warm and before it is in use; where it fails, the one before stays

        Raises
        ------
        SimDNNError
            If the file or its weights cannot be used.
        Exception
            Whatever ``record`` raises.
        """
        with self._loading:
            file = file or self.file
            try:
                made = Model.load(file, self._settings)
            except SimDNNError as error:
                self.failure = str(error)
                _log.error("guard not loaded", file=str(file), reason=self.failure)
                raise
            if record is not None:
                record(made)
            before = self._current
            self._current, self.failure = made, None
            self._used(made)
            _log.info("guard in use", model_id=made.id, file=str(file), before=before.id if before else None)
            return made

    async def change(self, file: Path | None = None, record: Callable[[Model], None] | None = None) -> Model:
        """Load a guard as :meth:`load` does, while requests are answered, and have all other workers follow."""
        made = await asyncio.to_thread(self.load, file, record)
        write_whole(self._pointer, str(made.file.absolute()).encode())
        if self._settings.workers > 1:
            os.kill(os.getppid(), signal.SIGHUP)  # it tells every worker
        return made

    def beside(self, name: str) -> Path:
        """Return the path of a guard file in the folder of the one that was served first; InputError for another."""
        if not name or name != Path(name).name or name.startswith(".") or not name.isprintable():
            raise InputError(
                f"expected the name of a guard file in the folder of the one in use, such as new.simdnn; got {name!r}"
            )
        return self._settings.guard.parent / name
