"""The answer to one image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["clean", "attack", "error"]


@dataclass(frozen=True)
class Neighbour:
    """One prototype that an image was compared with: part of a verdict's evidence.

    Attributes
    ----------
    prototype
        The prototype's identifier, ``"<label>/<serial>"``.
    label
        The class that the prototype stands for.
    similarity
        Eq. 10, in (0, 1]; 1 is the prototype itself.
    exemplar
        Name of the training image that people look at in the prototype's stead.
    """

    prototype: str
    label: str
    similarity: float
    exemplar: str


@dataclass(frozen=True)
class Verdict:
    """What the guard says of one image.

    Attributes
    ----------
    path
        The image, as it was named by the caller.
    verdict
        ``"clean"``, ``"attack"`` (the possible attack of eq. 12), or ``"error"`` where the file could not be read.
    label
        Sim-DNN's label, eq. 13. It is not to be trusted when the verdict is ``"attack"``.
    classifier_label
        The label of the protected network itself.
    score
        The rule's score; high is clean.
    p_value
        Split-conformal p-value in (0, 1]; flagged where it is at most alpha. None under the published rule, which has
        none.
    p_value_clean, p_value_mixture
        Of a rule that calibrates on corrupted copies as well: among clean images alone, which the promised false-alarm
        rate rests on, and among clean images and copies together. ``p_value`` is the larger; None for other rules.
    threshold
        The image was flagged if ``score < threshold``.
    prototype
        Identifier of the most similar prototype.
    rule
        The rule that decided, such as ``"similarity"``.
    evidence
        The most similar prototypes of the best classes, most similar first.
    error
        Why the file could not be read; None otherwise.
    image_sha256
        Hash of the bytes that were judged; None for pixels, and for a file that could not be read.
    opinion_class, opinion
        The class that the protected network gives among the guard's, and the share of noisy draws in which the
        auxiliary network gives it; None for a rule without a second opinion.
    certified_radius
        Where it was asked for and the image is clean: if its original differs by less than this (L2, values from 0
        to 1, at the protected network's size), the auxiliary network's majority is ``opinion_class`` for the original,
        too. 0 certifies nothing.
    """

    path: str
    verdict: Kind
    label: str | None = None
    classifier_label: str | None = None
    score: float | None = None
    p_value: float | None = None
    threshold: float | None = None
    prototype: str | None = None
    rule: str | None = None
    evidence: tuple[Neighbour, ...] = ()
    error: str | None = None
    image_sha256: str | None = None
    p_value_clean: float | None = None
    p_value_mixture: float | None = None
    opinion_class: str | None = None
    opinion: float | None = None
    certified_radius: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values, ready for JSON."""
        plain = asdict(self)
        plain["evidence"] = list(plain["evidence"])
        return plain
