"""``simdnn attack``: make attacked images, to see what a guard makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from simdnn.cli.libraries import lab_libraries
from simdnn.cli.options import (
    DEFAULT_BACKBONE,
    AsJson,
    Device,
    Mean,
    Rule,
    Size,
    Std,
    load_guard,
    three_numbers,
)
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError

UNREADABLE = 1


def attack(
    name: Annotated[
        str,
        typer.Argument(
            help="The attack: fgsm, pgd, ddn, cw, deepfool, fmn, apgd, fab, square, autoattack, mifgsm, pgd-l2 or "
            "hopskipjump; with --detector also selective, orthogonal, joint-0.1, joint-1 or joint-10, which know of it."
        ),
    ],
    photos: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the attacked images.")],
    eps: Annotated[
        float | None, typer.Option(help="Largest change of a pixel, in [0, 1] (pgd-l2: Euclidean norm).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of steps.", show_default="the attack's own")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A further parameter of the attack, as name=value.")
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="Network: a torchvision name, or package.module:factory.")
    ] = DEFAULT_BACKBONE,
    weights: Annotated[
        Path | None, typer.Option(help="Its weights, .safetensors or .pth.", show_default="torchvision's own")
    ] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            help="Attack the network of this guard, and say what gets past the guard.", metavar="GUARD"
        ),
    ] = None,
    rule: Rule = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Turn the network away from its own answers, or from the classes that folders name."
        ),
    ] = "own",
    limit: Annotated[int | None, typer.Option(min=1, help="Attack the first so many images only.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that are attacked together.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Attack photographs, white-box on a network; write them as 8-bit PNG and as floats.

    Each is written under the name of its folder; attack.json tells what became of it. A stopped run goes on where
    it was. Exit status: 0 if every image was attacked, 1 if some could not be read.
    """
    from simdnn.images.files import find_images
    from simdnn.networks.backbone import load_backbone
    from simdnn.networks.device import chosen_device

    with lab_libraries():
        from simdnn.attacks import recipe
        from simdnn.attacks.adaptive.attack import WAYS, aware
        from simdnn.attacks.adaptive.module import GuardedNetwork
        from simdnn.evaluation.attack_files import LABELS, attack_files
    if labels not in LABELS:
        raise InputError(f"--labels is one of {', '.join(LABELS)}; got {labels!r}")
    given = _given({"eps": eps, "steps": steps}, param or [])
    if name in WAYS and detector is None:
        raise InputError(f"{name} attacks a network with its detector; name the guard's file as --detector")
    made = aware(name, **given) if name in WAYS else recipe({"attack": name} | given)
    guarded = None
    if detector is not None:
        guarded = GuardedNetwork(load_guard(detector, [str(weights)] if weights else None), rule)
        network = guarded.backbone
    else:
        network = load_backbone(
            backbone, weights, mean=three_numbers(mean, "--mean"), std=three_numbers(std, "--std"), size=size
        ).to(chosen_device(device))
    paths = find_images(photos)[:limit]
    with progress_bar("attacking") as progress:
        record = attack_files(
            made,
            network,
            paths,
            output,
            detector=guarded,
            labels=labels,
            seed=seed,
            batch_size=batch_size,
            progress=progress,
        )
    broken = [entry for entry in record["images"] if "error" in entry]
    if as_json:
        for entry in record["images"]:
            typer.echo(json.dumps(entry))
    else:
        typer.echo(shown(_summary(record, output)))
    for entry in broken:
        typer.echo(shown(f"skipped {entry['path']}: {entry['error']}"), err=True)
    if broken:
        raise typer.Exit(UNREADABLE)


def _given(named: dict[str, float | None], param: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for text in param:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InputError(f"--param takes name=value, such as momentum=0.9; got {text!r}")
        if key in given:
            raise InputError(f"{key} is given twice; give it once")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return given


def _summary(record: dict[str, Any], output: Path) -> str:
    total = record["turned"]
    if total is None:
        return f"no image that the network had right; wrote {output}"
    said = f"of {total['n']} images that the network had right, {_shares(record, 'turned')} are turned"
    if "through" in record:
        said += f"; {_shares(record, 'through')} are turned and not flagged"
    return f"{said}; wrote {output}"


def _shares(record: dict[str, Any], name: str) -> str:
    as_floats, as_file = (
        f"{100 * record[k]['value']:.1f} % ({100 * record[k]['low']:.1f} to {100 * record[k]['high']:.1f})"
        for k in (name, f"{name}_8bit")
    )
    return f"{as_floats} as floats, {as_file} as 8-bit images,"
