"""The prototypes of all classes: an editable set, and its arrays for eqs. (1), (6), (9), (10) and (13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    """One prototype as people see it.

    Attributes
    ----------
    id : ``"<label>/<serial>"``; a serial is never used twice within a class
    label : its class
    support : number of samples behind it, ``N_j``
    sigma : square root of its own scalar variance; 0 while one sample is behind it
    exemplar : index of the training sample that stands for it; -1 where there is none
    vector : (n,) the prototype itself
    """

    id: str
    label: str
    support: int
    sigma: float
    exemplar: int
    vector: FloatArray = field(repr=False, compare=False)


class PrototypeSet:
    """What all classes have learned. Every prototype can be added, removed or relabelled; none changes another.

    Parameters
    ----------
    n_features : width of the features
    sigma : whose variance eq. (10) divides by: one ``"shared"`` by all prototypes (the mean squared distance of the
        training samples to the mean of their class), that of the ``"class"``, or that of the ``"prototype"`` itself
        (its class's while fewer than two samples are behind it)
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
        return next(p for k, p in enumerate(self._of(label)) if k == j)

    def model(self, label: str) -> ClassModel:
        """Return the class of that label, a new one where there is none yet."""
        if label not in self.classes:
            self.classes[label] = ClassModel.empty(self.n_features)
            self.classes = dict(sorted(self.classes.items()))  # in whatever order classes arrive
        return self.classes[label]

    def learn(
        self,
        samples: NDArray[np.floating],
        rows: Mapping[str, IntArray],
        *,
        first: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        """Let classes learn samples; how they are spread over calls and jobs changes nothing.

        Parameters
        ----------
        samples : (N, n) scaled features
        rows : of each class, in the order in which it learns them
        first : index of the first of the samples, which exemplars are known by
        n_jobs : classes that learn at the same time, as joblib counts them
        """
        from joblib import Parallel, delayed

        jobs = [(self.model(label), order) for label, order in rows.items()]
        learned = Parallel(n_jobs=n_jobs, prefer="threads")(
            delayed(learn)(model, samples, first + order, order) for model, order in jobs
        )
        self.classes.update(zip(rows, learned, strict=True))

    def add(self, label: str, vector: ArrayLike, exemplar: int = -1) -> str:
        """Add a prototype, (n,), to a class, known or new; return its id."""
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
        """Remove a prototype; the last one of all cannot go."""
        label, j = self._find(prototype_id)
        if len(self) == 1:
            raise InputError(f"{prototype_id} is the only prototype left; add another before removing it")
        model = self.classes[label]
        self.classes[label] = model.take(np.arange(len(model)) != j)

    def relabel(self, prototype_id: str, label: str) -> str:
        """Move a prototype to another class, known or new; return its new id."""
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
        """(M,) variance that eq. (10) divides by for each prototype."""
        shared = self._shared_variance()
        variances = []
        for model in self.classes.values():
            of_class = model.moments.variance if model.moments.count > 1 else shared
            if self.sigma == "shared":
                variances.append(np.full(len(model), shared))
            elif self.sigma == "class":
                variances.append(np.full(len(model), of_class))
            else:
                own = np.divide(model.scatter, model.support)
                variances.append(np.where(model.support > 1, own, of_class))
        return np.concatenate(variances)

    def similarity(self, x: Array) -> Array:
        """Eq. (10): (N, M) similarity of (N, n) samples to every prototype."""
        return similarity(x, self.vectors, self.variances)

    def _shared_variance(self) -> float:
        """Pooled variance within classes; where no class has any, the variance of the prototypes, or else 1."""
        count = sum(model.moments.count for model in self.classes.values())
        pooled = sum(model.moments.scatter for model in self.classes.values()) / max(count, 1)
        return pooled or float(self.vectors.var(axis=0).sum()) or 1.0

    def _of(self, label: str) -> Iterator[Prototype]:
        return (prototype for prototype in self if prototype.label == label)

    def _find(self, prototype_id: str) -> tuple[str, int]:
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
