"""A guard with 8-bit networks, beside the same guard with those in float32, both by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from simdnn.errors import ImageReadError
from simdnn.guard.guard import Guard
from simdnn.guard.known import learned_hashes
from simdnn.guard.recalibrate import Recalibration, recalibrated
from simdnn.images.reading import read_image
from simdnn.networks.voter import Pixels
from simdnn.onnx import file
from simdnn.onnx.export import contents_of, graph_of, readable, with_threshold
from simdnn.onnx.guard import guard_by
from simdnn.onnx.quantise import quantised
from simdnn.onnx.sessions import session_of
from simdnn.progress import Progress


@dataclass(frozen=True)
class Int8Guards:
    """Two guards that differ by the quantisation alone: they are calibrated on the same images.

    Attributes
    ----------
    before, after : with networks in float32, and in 8 bits. An auxiliary network stays as it is in both: its votes
        under noise are what a certificate rests on
    graph : of the second one, serialised
    contents : what an ONNX file of the guard as it was holds besides its graph
    """

    before: Guard
    after: Guard
    graph: bytes
    contents: file.Contents

    @classmethod
    def of(
        cls,
        guard: Guard,
        ranges: Sequence[Path],
        asked: Recalibration,
        progress: tuple[Progress | None, Progress | None, Progress | None] = (None, None, None),
    ) -> Self:
        """Export a guard, quantise it, and calibrate both.

        Parameters
        ----------
        guard : with its networks
        ranges : clean images whose activations give the ranges; those that cannot be read are passed over
        asked : for calibrating
        progress : called with (done, total) while the ranges are measured, and while each guard is calibrated

        Raises
        ------
        InputError
            If a network cannot be exported or quantised, or the images do not suffice to calibrate.
        """
        contents, whole = contents_of(guard), graph_of(guard)
        graph = quantised(whole, _pixels(guard, ranges, progress[0]))
        learned = learned_hashes(guard.extractor.auxiliary)

        def calibrated(model: bytes, name: str, moved: Progress | None) -> Guard:
            one = guard_by(session_of(model, name), contents, name)
            anew = replace(one, **recalibrated(one, asked, one.stream, learned, moved))
            anew.use(one.stream)
            return anew

        before = calibrated(whole, "the guard in float32", progress[1])
        return cls(before, calibrated(graph, "the guard in int8", progress[2]), graph, contents)

    def write(self, path: Path, facts: dict[str, Any]) -> None:
        """Write the guard with 8-bit networks; ``facts`` stand in the metadata for other programs, under ``int8``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        known = readable(self.after) | {"int8": facts}
        contents = replace(self.contents, guard=self.after.encode(), readable=known)
        file.write(path, with_threshold(self.graph, self.after.threshold()), contents)


def _pixels(guard: Guard, paths: Sequence[Path], progress: Progress | None) -> Iterator[tuple[Pixels, ...]]:
    """Yield images as each of a guard's networks takes them."""
    for done, path in enumerate(paths, 1):
        with suppress(ImageReadError):  # a few less give the same ranges
            picture = read_image(path)
            yield tuple(record.spec.preprocess.pixels(picture) for record in guard.networks)
        if progress is not None:
            progress(done, len(paths))
