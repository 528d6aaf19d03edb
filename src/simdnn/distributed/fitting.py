"""Fitting a guard on a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from simdnn.distributed.extractor import RayExtractor
from simdnn.distributed.learning import learn_on_ray
from simdnn.distributed.sources import FileSource, Named
from simdnn.errors import InputError
from simdnn.guard.exemplars import Exemplar, exemplar
from simdnn.guard.fitting import Fit, fit_state
from simdnn.guard.guard import Guard
from simdnn.guard.listing import drawn
from simdnn.images.reading import read_image
from simdnn.progress import Progress


def fit_on_ray(fit: Fit, extractor: RayExtractor, progress: Progress | None = None) -> Guard:
    """Fit a guard as :meth:`simdnn.guard.guard.Guard.fit` does; with the same seeds it is the same guard.

    Parameters
    ----------
    fit : what is asked for; ``fit.data`` is what ``extractor.source`` was made of
    extractor : networks on a cluster
    progress : called with (done, total)

    Raises
    ------
    InputError
        As for :meth:`Guard.fit`, and if images that are no files of this machine are to calibrate from elsewhere, or
        to be held against what an auxiliary network has learned.
    """
    source = extractor.source
    images = None
    if not isinstance(source, FileSource):
        if fit.calibrate_on is not None or extractor.auxiliary is not None:
            raise InputError(
                "--calibrate-on and --second-opinion read files of this machine; give a folder that every machine sees"
            )
        labels: Sequence[str] = source.labels
        if not all(labels):
            raise InputError(f"expected a label for each image of {fit.data}, got none for some")
        images = drawn(list(source.names), labels, fit.settings, fit.calibration, fit.names)

    def shown(name: Path | Named) -> Exemplar:
        content = source.read(name)
        return exemplar(content if isinstance(content, Path) else read_image(content), name.name)

    learn = partial(learn_on_ray, tasks=extractor.cluster.actors)
    state = fit_state(fit, extractor, progress, images=images, learn=learn, shown=shown)
    return Guard(**vars(state))
