"""Edits of the prototypes of the guard in use: tried on a copy, made in the file, and written into the audit store."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simdnn.arrays import FloatArray
from simdnn.audit.records import Action
from simdnn.errors import InputError
from simdnn.guard.exemplars import Exemplar
from simdnn.guard.guard import Guard
from simdnn.paper.learning import ClassModel
from simdnn.paper.moments import Moments
from simdnn.service.problems import Problem

Kind = Literal["remove", "relabel", "restore"]

REMOVED, RELABELLED, RESTORED = "prototype removed", "prototype relabelled", "prototype restored"


@dataclass(frozen=True)
class Edit:
    """An edit of one prototype.

    Attributes
    ----------
    kind : what is done
    prototype : its id
    label : its new class, where it is relabelled
    removal : the action by which it was removed, where it is restored
    """

    kind: Kind
    prototype: str
    label: str | None = None
    removal: Action | None = None

    def __post_init__(self) -> None:
        if self.kind == "relabel" and not (self.label and self.label.strip() and self.label.isprintable()):
            raise InputError(f"expected a class for the prototype {self.prototype}, got none; type its name")
        if self.kind == "restore" and (self.removal is None or self.removal.what != REMOVED):
            raise Problem(404, f"no removal of the prototype {self.prototype} is recorded; see the actions")

    def apply(self, guard: Guard) -> tuple[str, Any, Any]:
        """Edit a guard; return what was done, and the prototype before and after, as the audit store keeps them.

        Raises
        ------
        InputError
            If there is no such prototype, it is the last one, has this class already, or was restored before.
        """
        prototypes = guard.model.prototypes
        if self.kind == "restore":
            assert self.removal is not None
            restored = _restore(guard, self.removal.before)
            return RESTORED, None, {"prototype": restored}
        removed = _packed(guard, self.prototype)
        if self.kind == "remove":
            prototypes.remove(self.prototype)
            return REMOVED, removed, None
        assert self.label is not None
        moved = prototypes.relabel(self.prototype, self.label.strip())
        return RELABELLED, {"prototype": self.prototype}, {"prototype": moved}


def _packed(guard: Guard, prototype_id: str) -> dict[str, Any]:
    """Return all that is known of a prototype, as values for JSON, so that it can be restored from them alone."""
    found = guard.model.prototypes[prototype_id]
    model = guard.model.prototypes.model(found.label)
    serial = int(prototype_id.rpartition("/")[2])
    row = int(np.flatnonzero(model.serials == serial)[0])
    shown = guard.exemplar(found.exemplar)
    return {
        "prototype": prototype_id,
        "label": found.label,
        "serial": serial,
        "support": found.support,
        "scatter": float(model.scatter[row]),
        "exemplar": found.exemplar,
        "vector": _text(found.vector),
        "exemplar_vector": _text(model.exemplar_vectors[row]),
        "name": shown.name,
        "thumbnail": b64encode(shown.thumbnail).decode(),
    }


def _restore(guard: Guard, packed: dict[str, Any]) -> str:
    vector = _array(packed["vector"])
    prototypes = guard.model.prototypes
    if vector.shape != (prototypes.n_features,):
        raise InputError(
            f"the prototype {packed['prototype']} has {len(vector)} features, and the guard in use compares "
            f"{prototypes.n_features}: it was removed from another guard, and cannot come into this one"
        )
    one = ClassModel(
        moments=Moments(vector),
        vectors=vector[None],
        support=np.array([packed["support"]]),
        scatter=np.array([packed["scatter"]]),
        exemplars=np.array([packed["exemplar"]]),
        exemplar_vectors=_array(packed["exemplar_vector"])[None],
        serials=np.array([packed["serial"]]),
    )
    restored = prototypes.restore(packed["label"], one)
    if packed["exemplar"] >= 0:
        guard.exemplars[packed["exemplar"]] = Exemplar(packed["name"], b64decode(packed["thumbnail"]))
    return restored


def _text(values: FloatArray) -> str:
    return b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def _array(text: str) -> FloatArray:
    return np.frombuffer(b64decode(text), dtype="<f8").astype(np.float64)
