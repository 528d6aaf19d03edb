"""What comes out of the networks for some images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = ("positions", "features", "logits", "view_features", "view_logits", "votes")


@dataclass(frozen=True)
class Batch:
    """One row for each image that was read, and one more for its corrupted copy where one was asked for.

    Attributes
    ----------
    positions
        Shape (n,), of the images in the given list.
    features, logits
        Shapes (n, d) and (n, K), float32.
    view_features, view_logits
        The same for the V views of each image that were asked for: (n, V, d) and (n, V, K).
    votes
        Shape (n, c), int64: noisy draws that the auxiliary network gave each of its classes; c = 0 without draws.
    corruption
        Name of each row's harmless corruption; empty for the image as it is.
    image_sha256
        Of each row's image file; empty for pixels given as a tensor.
    image_bytes
        Of each row's image file; empty unless asked for.
    errors
        Why the other images were not read, by position.
    pixels
        Shape (n, 3, H, W), in [0, 1], as the first network takes them; None unless asked for.
    """

    positions: NDArray[np.int64]
    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    view_features: NDArray[np.float32]
    view_logits: NDArray[np.float32]
    votes: NDArray[np.int64]
    corruption: tuple[str, ...]
    image_sha256: tuple[str, ...]
    image_bytes: tuple[bytes, ...] = ()
    errors: dict[int, str] = field(default_factory=dict)
    pixels: NDArray[np.float32] | None = None

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return some of the rows, without pixels and bytes; errors stay."""
        chosen = rows.tolist()
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ROWS},
            corruption=tuple(self.corruption[i] for i in chosen),
            image_sha256=tuple(self.image_sha256[i] for i in chosen),
            image_bytes=(),
            pixels=None,
        )

    @property
    def corrupted(self) -> NDArray[np.bool_]:
        """(n,) True for corrupted copies."""
        return np.array([bool(name) for name in self.corruption], dtype=bool)

    def in_order(self) -> Batch:
        """Return the rows in the order of the images; a corrupted copy stays behind its original."""
        return self.take(np.argsort(self.positions, kind="stable"))

    def placed(self, rows: NDArray[np.int64]) -> Batch:
        """Return the batch with positions in a longer list, of which ``rows`` were given."""
        return replace(
            self,
            positions=rows[self.positions],
            errors={int(rows[i]): reason for i, reason in self.errors.items()},
        )

    def without_views(self) -> Batch:
        """Return the batch as it would be without views and draws."""
        return replace(
            self,
            view_features=self.view_features[:, :0],
            view_logits=self.view_logits[:, :0],
            votes=self.votes[:, :0],
        )

    @classmethod
    def joined(cls, batches: Sequence[Batch]) -> Batch:
        """Return at least one batch after the other as one, without pixels and bytes."""
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(batch, name) for batch in batches]) for name in ROWS
        }
        return cls(
            **arrays,
            corruption=tuple(name for batch in batches for name in batch.corruption),
            image_sha256=tuple(digest for batch in batches for digest in batch.image_sha256),
            errors={i: reason for batch in batches for i, reason in batch.errors.items()},
        )
