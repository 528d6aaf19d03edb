"""The gallery: a page of attacked photographs with their perturbations and the decision of each method."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from torch import Tensor

from simdnn.errors import InputError
from simdnn.evaluation.method_setup import TestImages
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.tested_network import Folders, ProgressBars, TestedNetwork
from simdnn.evaluation.written import write_readable
from simdnn.images.picture import picture_of


@dataclass(frozen=True)
class GalleryImage:
    """One attacked photograph; images are data URIs.

    Attributes
    ----------
    truth, prediction : its true class, and the network's prediction for the attacked image, by name or number
    clean, attacked, difference : the images
    gain : factor by which the difference is amplified
    verdicts : for each method its name, and whether it flagged the image or, as a text, its error
    """

    truth: str
    prediction: str
    clean: str
    attacked: str
    difference: str
    gain: int
    verdicts: list[tuple[str, bool | str]]


def write_gallery(plan: Plan, row: str, folders: Folders, path: Path, count: int, bars: ProgressBars) -> None:
    """Write the page for one network of a plan.

    Parameters
    ----------
    plan, folders : as for :func:`simdnn.evaluation.run.run`
    row : name of the network in the tables
    path : the HTML file
    count : number of photographs shown of each attack, the first ones that fool the network
    bars : shows progress

    Raises
    ------
    InputError
        If the plan has no such network.
    OutputError
        If the page cannot be written.
    """
    network = next((network for network in plan.networks if network.row == row), None)
    if network is None:
        raise InputError(f"the plan has no network {row!r}, only {', '.join(n.row for n in plan.networks)}")
    sections: list[tuple[str, list[GalleryImage]]] = []
    with TestedNetwork(plan, network, folders, bars) as tested:
        for column in plan.columns:
            if column.kind != "attack" or column.form != "8-bit":
                continue
            with bars(f"{row}: {column.label}") as progress:
                column_images = tested.columns.make(column, progress)
            chosen = np.flatnonzero(column_images.fooled)[:count]
            images = TestImages(tested.backbone, column_images.pixels[chosen])
            rows = column_images.rows[chosen]
            flags = [(method, tested.flags(method, images, tested.truth[rows])) for method in plan.methods]
            outputs = images.baseline_input.logits.argmax(axis=1) if len(chosen) else []
            names = tested.backbone.categories
            shown = []
            for i, output in enumerate(outputs):
                before, after = tested.columns.pixels[rows[i]], images.pixels[i]
                change = after - before
                gain = max(1, int(0.5 / max(1 / 255, float(change.abs().max()))))
                shown.append(
                    GalleryImage(
                        truth=str(tested.truth[rows[i]]),
                        prediction=names[output] if names else f"output {output}",
                        clean=_png(before),
                        attacked=_png(after),
                        difference=_png((0.5 + gain * change).clamp(0, 1)),
                        gain=gain,
                        verdicts=[
                            (method, flagged if isinstance(flagged, str) else bool(flagged[i]))
                            for method, flagged in flags
                            if flagged is not None
                        ],
                    )
                )
            sections.append((column.label, shown))
    environment = Environment(
        loader=PackageLoader("simdnn.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template("gallery.html.j2").render(plan=plan, row=row, sections=sections)
    write_readable(path, page)


def _png(pixels: Tensor) -> str:
    encoded = BytesIO()
    picture_of(pixels).save(encoded, "PNG")
    return f"data:image/png;base64,{b64encode(encoded.getvalue()).decode()}"
