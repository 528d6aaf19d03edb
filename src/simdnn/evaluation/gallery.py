"""A page that shows attacked photographs, what was changed in them, and what each method made of them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from simdnn.errors import InputError
from simdnn.evaluation.methods import Images
from simdnn.evaluation.plan import Plan
from simdnn.evaluation.subject import Bars, Places, Subject


@dataclass(frozen=True)
class Shown:
    """One attacked photograph; pictures are data URIs.

    Attributes
    ----------
    truth, given : its true class, and the name or number of the network's output for the attacked image
    clean, attacked, difference : the pictures
    gain : how much the difference is amplified
    verdicts : of each method: name, and whether it flagged the image; or why there is no verdict
    """

    truth: str
    given: str
    clean: str
    attacked: str
    difference: str
    gain: int
    verdicts: list[tuple[str, bool | str]]


def write_gallery(plan: Plan, row: str, places: Places, path: Path, count: int, bars: Bars) -> None:
    """Write the page for one network of a plan.

    Parameters
    ----------
    plan, places : as for :func:`simdnn.evaluation.run.run`
    row : of the network in the tables
    path : the HTML file
    count : photographs shown of each attack: the first that it turned
    bars : shows progress

    Raises
    ------
    InputError
        If the plan has no such network.
    """
    network = next((network for network in plan.networks if network.row == row), None)
    if network is None:
        raise InputError(f"the plan has no network {row!r}, only {', '.join(n.row for n in plan.networks)}")
    sections: list[tuple[str, list[Shown]]] = []
    with Subject(plan, network, places, bars) as subject:
        for column in plan.columns:
            if column.kind != "attack" or column.form != "8-bit":
                continue
            with bars(f"{row}: {column.label}") as progress:
                group = subject.columns.make(column, progress)
            chosen = np.flatnonzero(group.fooled)[:count]
            images = Images(subject.backbone, group.pixels[chosen])
            rows = group.rows[chosen]
            asked = [(method, subject.flags(method, images, subject.truth[rows])) for method in plan.methods]
            outputs = images.observation.logits.argmax(axis=1) if len(chosen) else []
            names = subject.backbone.categories
            shown = []
            for i, output in enumerate(outputs):
                before, after = subject.columns.pixels[rows[i]], images.pixels[i]
                change = after - before
                gain = max(1, int(0.5 / max(1 / 255, float(change.abs().max()))))
                shown.append(
                    Shown(
                        truth=str(subject.truth[rows[i]]),
                        given=names[output] if names else f"output {output}",
                        clean=_png(before),
                        attacked=_png(after),
                        difference=_png((0.5 + gain * change).clamp(0, 1)),
                        gain=gain,
                        verdicts=[
                            (method, told if isinstance(told, str) else bool(told[i]))
                            for method, told in asked
                            if told is not None
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
    path.write_text(page, encoding="utf-8")


def _png(pixels: Tensor) -> str:
    encoded = BytesIO()
    Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy()).save(encoded, "PNG")
    return f"data:image/png;base64,{b64encode(encoded.getvalue()).decode()}"
