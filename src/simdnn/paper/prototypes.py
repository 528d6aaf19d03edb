"""The editable set of the prototypes of all classes, with their arrays for eqs. (1), (6), (9), (10) and (13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simdnn.arrays import Array, FloatArray, IntArray
from simdnn.errors import InputError
from simdnn.paper.equations import similarity
from simdnn.paper.learning import ClassModel, learn
from simdnn.paper.moments import Moments

SigmaKind = Literal["shared", "class", "prototype"]


@dataclass(frozen=True)
class Prototype:
    """One prototype.

    Attributes
    ----------
    id : ``"<label>/<serial>"``; a serial is never reused within a class
    label : its class
    support : number of samples behind it, ``N_j``
    sigma : square root of the scalar variance of these samples; 0 for a single sample
    exemplar : index of its exemplar, the training sample shown for it; -1 without one
    vector : (n,) the mean of its samples; it moves when the set learns more
    """

    id: str
    label: str
    support: int
    sigma: float
    exemplar: int
    vector: FloatArray = field(repr=False, compare=False)


class PrototypeSet:
    """The prototypes of all classes. Prototypes can be added, removed and relabelled, each without changing others.

    Parameters
    ----------
    n_features : number of features, n
    sigma : which variance eq. (10) divides by. ``"shared"``: one for all prototypes, the mean squared distance of the
        training samples to the mean of their class. ``"class"``: that of the prototype's class. ``"prototype"``: that
        of the prototype's own samples, or of its class while it has a single sample

    Attributes
    ----------
    classes : the model of each class by its label, in sorted order
    """

    def __init__(self, n_features: int, sigma: SigmaKind = "shared") -> None:
        self.n_features = n_features
        self.sigma: SigmaKind = sigma
        self.classes: dict[str, ClassModel] = {}

    def __len__(self) -> int:
        return sum(len(model) for model in self.classes.values())

    def __iter__(self) -> Iterator[Prototype]:
        for label, model in self.classes.items():
            for j in range(len(model)):
                yield Prototype(
                    id=f"{label}/{model.serials[j]}",
                    label=label,
                    support=int(model.support[j]),
                    sigma=float(np.sqrt(model.scatter[j] / model.support[j])),
                    exemplar=int(model.exemplars[j]),
                    vector=model.vectors[j],
                )

    def __getitem__(self, prototype_id: str) -> Prototype:
        label, j = self._find(prototype_id)
        serial = self.classes[label].serials[j]
        return next(prototype for prototype in self if prototype.id == f"{label}/{serial}")

    def model(self, label: str) -> ClassModel:
        """Return the model of a class; an empty one is added for a new label."""
        if label not in self.classes:
            self.classes[label] = ClassModel.empty(self.n_features)
            self.classes = dict(
                sorted(self.classes.items())
            )  # the order in which classes arrive must not matter
        return self.classes[label]

    def learn(
        self,
        samples: NDArray[np.floating],
        rows: Mapping[str, IntArray],
        *,
        first: int = 0,
        n_jobs: int | None = None,
        scaling: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        """Learn samples; the result does not depend on how they are split over calls and jobs.

        Parameters
        ----------
        samples : (N, n) features, each scaled to [0, 1]
        rows : for each class, its rows of ``samples`` in the order in which they are learned
        first : index of the first sample among all that were ever learned, for the exemplars
        n_jobs : classes learned in parallel, as in joblib
        scaling : scales samples where they are not scaled yet, a few at a time
        """
        from joblib import Parallel, delayed, effective_n_jobs

        def learn_all(labels: Sequence[str]) -> None:
            for label in labels:
                learn(self.classes[label], samples, first + rows[label], rows[label], scaling)

        for label in rows:
            self.model(label)
        jobs: int = effective_n_jobs(n_jobs)  # type: ignore[arg-type]  # None is one, or what a backend says
        if jobs == 1:
            learn_all(list(rows))
            return
        largest_first = sorted(rows, key=lambda label: -len(rows[label]))
        shares = [largest_first[job::jobs] for job in range(jobs)]
        Parallel(n_jobs=jobs, prefer="threads")(delayed(learn_all)(share) for share in shares)

    def add(self, label: str, vector: ArrayLike, exemplar: int = -1) -> str:
        """Add a prototype to a class, which may be new; return its id.

        Parameters
        ----------
        label : its class
        vector : (n,) scaled features
        exemplar : index of its exemplar; -1 for none

        Raises
        ------
        InputError
            If the label is empty, or the vector has another shape, or missing or infinite values.
        """
        _check_label(label)
        x = np.asarray(vector, dtype=np.float64)
        if x.shape != (self.n_features,) or not np.isfinite(x).all():
            raise InputError(
                f"a prototype takes {self.n_features} finite features; got an array of shape {x.shape}"
                f"{'' if np.isfinite(x).all() else ' with missing or infinite values'}"
            )
        one = ClassModel(
            moments=Moments(x),
            vectors=x[None],
            support=np.array([1]),
            scatter=np.zeros(1),
            exemplars=np.array([exemplar]),
            exemplar_vectors=x[None],
            serials=np.zeros(1, dtype=np.int64),
        )
        return f"{label}/{self.model(label).append(one)[0]}"

    def remove(self, prototype_id: str) -> None:
        """Remove a prototype; InputError if there is no such prototype, or it is the only one."""
        label, j = self._find(prototype_id)
        if len(self) == 1:
            raise InputError(f"{prototype_id} is the only prototype left; add another before removing it")
        model = self.classes[label]
        self.classes[label] = model.take(np.arange(len(model)) != j)

    def restore(self, label: str, removed: ClassModel) -> str:
        """Put a prototype that was removed from a class back in its place, with its old id, which is returned.

        Parameters
        ----------
        label : its class
        removed : the prototype alone, as :meth:`simdnn.paper.learning.ClassModel.take` gives it

        Raises
        ------
        InputError
            If the class has a prototype of this id.
        """
        model = self.model(label)
        (serial,) = removed.serials.tolist()
        if serial in model.serials:
            raise InputError(f"the prototype {label}/{serial} is there already; nothing was restored")
        model.insert(removed)
        return f"{label}/{serial}"

    def relabel(self, prototype_id: str, label: str) -> str:
        """Move a prototype to another class, which may be new; return its new id.

        Raises
        ------
        InputError
            If there is no such prototype, it has this label already, or the label is empty.
        """
        _check_label(label)
        old, j = self._find(prototype_id)
        if label == old:
            raise InputError(f"{prototype_id} already has the label {label!r}")
        model = self.classes[old]
        moved = model.take(np.array([j]))
        self.classes[old] = model.take(np.arange(len(model)) != j)
        return f"{label}/{self.model(label).append(moved)[0]}"

    @property
    def labels(self) -> NDArray[np.str_]:
        """(M,) class of each prototype."""
        return np.array([label for label, model in self.classes.items() for _ in range(len(model))])

    @property
    def vectors(self) -> FloatArray:
        """(M, n) prototypes of all classes."""
        return np.vstack([model.vectors for model in self.classes.values()])

    @property
    def support(self) -> IntArray:
        """(M,) number of samples behind each prototype."""
        return np.concatenate([model.support for model in self.classes.values()])

    @property
    def variances(self) -> FloatArray:
        """(M,) variance that eq. (10) divides by, for each prototype."""
        shared = self._shared_variance()
        variances = []
        for model in self.classes.values():
            class_variance = model.moments.variance if model.moments.count > 1 else shared
            if self.sigma == "shared":
                variances.append(np.full(len(model), shared))
            elif self.sigma == "class":
                variances.append(np.full(len(model), class_variance))
            else:
                variance = np.divide(model.scatter, model.support)
                variances.append(np.where(model.support > 1, variance, class_variance))
        return np.concatenate(variances)

    def similarity(self, x: Array) -> Array:
        """Eq. (10): (N, M) similarities in [0, 1] of (N, n) scaled samples to the M prototypes."""
        return similarity(x, self.vectors, self.variances)

    def _shared_variance(self) -> float:
        """Return the pooled variance within classes; if it is 0, the variance of the prototypes; if that is 0, 1."""
        count = sum(model.moments.count for model in self.classes.values())
        pooled = sum(model.moments.scatter for model in self.classes.values()) / max(count, 1)
        return pooled or float(self.vectors.var(axis=0).sum()) or 1.0

    def _find(self, prototype_id: str) -> tuple[str, int]:
        """Return the class of a prototype and its position within the class; InputError if there is none."""
        label, _, serial = prototype_id.rpartition("/")
        if label in self.classes and serial.isdecimal():
            (rows,) = np.nonzero(self.classes[label].serials == int(serial))
            if len(rows):
                return label, int(rows[0])
        known = (
            [f"{label}/{serial}" for serial in self.classes[label].serials] if label in self.classes else []
        )
        raise InputError(
            f"no prototype {prototype_id!r}; "
            + (
                f"the class {label!r} has {', '.join(known)}"
                if known
                else f"the classes are {', '.join(self.classes)}"
            )
        )


def _check_label(label: str) -> None:
    if not label:
        raise InputError("expected the name of a class for the prototype, got an empty one")
