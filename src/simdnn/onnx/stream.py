"""Many images through a guard's networks, by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simdnn.errors import InputError
from simdnn.images.preprocess import Preprocess
from simdnn.images.shifts import Shift
from simdnn.networks.cache import Row
from simdnn.networks.draws import Draws
from simdnn.networks.image_stream import ImageStream
from simdnn.networks.voter import Pixels, Voter
from simdnn.onnx.sessions import threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

IN_CACHE = 4
"""Images, views included, that each thread works on at a time, so that what is between layers stays in its cache."""


class OnnxStream(ImageStream):
    """Runs images through the graph of a guard's ONNX file; nothing is cached.

    Parameters
    ----------
    session : of the graph: ``images``, ``images_2`` ... for each network to ``features``, ``logits`` and, of a guard
        with views, ``view_features`` and ``view_logits``
    views : those in the graph
    preprocesses, n_features, n_classes, voter : see :class:`simdnn.networks.image_stream.ImageStream`
    """

    def __init__(
        self,
        session: InferenceSession,
        views: tuple[Shift, ...],
        preprocesses: Sequence[Preprocess],
        n_features: int,
        n_classes: int,
        voter: Voter | None,
    ) -> None:
        super().__init__(preprocesses, n_features, n_classes, voter=voter)
        self.session = session
        self.views = views

    def run(self, pixels: Sequence[tuple[Pixels, ...]], views: tuple[Shift, ...]) -> list[Row]:
        """Run images and their views, see :meth:`ImageStream.run`.

        Raises
        ------
        InputError
            If there are views other than those in the graph.
        """
        if views not in ((), self.views):
            raise InputError(f"expected the views of the exported guard, got {views}")
        at_once = max(1, IN_CACHE * threads() // (1 + len(self.views)))
        rows: list[Row] = []
        for first in range(0, len(pixels), at_once):
            some = pixels[first : first + at_once]
            rows += self._outputs(
                [np.stack([own[i] for own in some]) for i in range(len(some[0]))], bool(views)
            )
        return rows

    def fingerprint_of(self, views: Sequence[Shift] | str, draws: Draws | None) -> str:
        """Return nothing: without a cache there are no keys."""
        del views, draws
        return ""

    def _outputs(self, inputs: Sequence[Pixels], with_views: bool) -> list[Row]:
        names = ["features", "logits", *(["view_features", "view_logits"] if with_views else [])]
        feeds = {given.name: values for given, values in zip(self.session.get_inputs(), inputs, strict=True)}
        features, logits, *of_views = self.session.run(names, feeds)
        features, logits = features[:, None], logits[:, None]
        if with_views:
            features = np.concatenate([features, of_views[0]], axis=1)
            logits = np.concatenate([logits, of_views[1]], axis=1)
        return [{"features": f, "logits": k} for f, k in zip(features, logits, strict=True)]


class OnnxVoter(Voter):
    """An auxiliary network that ONNX Runtime runs.

    Parameters
    ----------
    make : makes its session, when the first image arrives; see :class:`simdnn.onnx.file.Contents`
    side, sigma, classes, norm : see :class:`simdnn.networks.voter.Voter`
    """

    def __init__(
        self,
        make: Callable[[], InferenceSession],
        side: int,
        sigma: float,
        classes: Sequence[str],
        norm: float,
    ) -> None:
        self._make = make
        self._session: InferenceSession | None = None
        self.side, self.sigma, self.classes = side, sigma, tuple(classes)
        self._norm = norm

    @property
    def norm(self) -> float:
        """L2 operator norm of the reduction, computed when the guard was exported."""
        return self._norm

    def classifier(self, image: Pixels) -> Callable[[Pixels], NDArray[np.int64]]:
        """Return the network on one image under noise, see :meth:`Voter.classifier`."""
        if self._session is None:
            self._session = self._make()
        session = self._session

        def classes_of(noise: Pixels) -> NDArray[np.int64]:
            (logits,) = session.run(["logits"], {"image": image[None], "noise": noise})
            classes: NDArray[np.int64] = np.asarray(logits).argmax(axis=1)
            return classes

        return classes_of
