"""``simdnn attack``: make attacked images, and see what a guard detects of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simdnn.cli.libraries import lab_libraries
from simdnn.cli.options import (
    DEFAULT_BACKBONE,
    AsJson,
    Device,
    Mean,
    Resize,
    Rule,
    Size,
    Std,
    Trust,
    load_guard,
    three_numbers,
)
from simdnn.cli.progress import progress_bar
from simdnn.cli.status import UNREADABLE
from simdnn.cli.text import echo, shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.attacks.adaptive.module import GuardedNetwork
    from simdnn.networks.backbone import Backbone

_WITH_DETECTOR = (
    "does not go with --detector: the guard's file has the network and how its images are prepared"
)
_WITHOUT_DETECTOR = (
    "needs --detector: without a guard there is no rule to attack, and no file whose code would run"
)


def attack(
    name: Annotated[
        str,
        typer.Argument(
            help="The attack: fgsm, pgd, ddn, cw, deepfool, fmn, apgd, fab, square, autoattack, mifgsm, pgd-l2 or "
            "hopskipjump; with --detector also the adaptive attacks selective, orthogonal, joint-0.1, joint-1 and "
            "joint-10, which attack network and detector at once."
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
        str | None,
        typer.Option(
            help="Network: a torchvision name, or package.module:factory.", show_default=DEFAULT_BACKBONE
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Its weights, .safetensors or .pth; with --detector, where the weights of the guard's networks are "
            "now, once per network.",
            show_default="torchvision's own, or where the guard last had them",
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    size: Size = None,
    resize: Resize = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            help="Attack the network of this guard, and count what evades the guard.", metavar="GUARD"
        ),
    ] = None,
    rule: Rule = None,
    trust: Trust = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Attack the classes that the network predicts (predicted), or those that the folders name (folders)."
        ),
    ] = "predicted",
    limit: Annotated[int | None, typer.Option(min=1, help="Attack only the first images, this many.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that are attacked together.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Attack photographs, white-box on a network; write them as 8-bit PNG and as floats.

    Each is written under the name of its folder; attack.json has the outcome of each. A stopped run continues where it
    was. Exit status: 0 if every image was attacked, 1 if some could not be read, 2 for a mistake, 74 if a result could
    not be written.
    """
    from simdnn.images.files import find_images

    with lab_libraries():
        from simdnn.attacks import make_attack
        from simdnn.attacks.adaptive.pgd import METHODS, make_adaptive_attack
        from simdnn.evaluation.attack_files import LABELS, attack_files
    if labels not in LABELS:
        raise InputError(f"--labels is one of {', '.join(LABELS)}; got {labels!r}")
    settings = _settings({"eps": eps, "steps": steps}, param or [])
    if name in METHODS and detector is None:
        raise InputError(f"{name} attacks a network with its detector; name the guard's file as --detector")
    made = (
        make_adaptive_attack(name, **settings)
        if name in METHODS
        else make_attack({"attack": name} | settings)
    )
    guarded = None
    if detector is not None:
        sides = {"--size": size, "--resize": resize}
        _refuse({"--backbone": backbone, "--mean": mean, "--std": std, **sides}, _WITH_DETECTOR)
        guarded = _load_guarded(detector, weights, trust, rule, device)
        network = guarded.backbone
    else:
        _refuse({"--rule": rule, "--trust": trust}, _WITHOUT_DETECTOR)
        network = _load_network(backbone or DEFAULT_BACKBONE, weights, mean, std, size, resize, device)
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
            echo(json.dumps(entry))
    else:
        echo(shown(_summary(record, output)))
    for entry in broken:
        echo(shown(f"skipped {entry['path']}: {entry['error']}"), err=True)
    if broken:
        raise typer.Exit(UNREADABLE)


def _refuse(options: dict[str, object], why: str) -> None:
    """Raise InputError for the first option that was given."""
    for option, value in options.items():
        if value is not None and value != []:
            raise InputError(f"{option} {why}; leave it out")


def _load_guarded(
    file: Path, weights: list[str] | None, trust: list[str] | None, rule: str | None, device: str | None
) -> GuardedNetwork:
    from simdnn.attacks.adaptive.module import GuardedNetwork

    return GuardedNetwork(load_guard(file, weights, trust, device), rule)


def _load_network(
    backbone: str,
    weights: list[str] | None,
    mean: str | None,
    std: str | None,
    size: int | None,
    resize: int | None,
    device: str | None,
) -> Backbone:
    from simdnn.networks.backbone import load_backbone
    from simdnn.networks.device import chosen_device

    if weights and len(weights) > 1:
        raise InputError(f"expected --weights once, for the one network, got it {len(weights)} times")
    where = chosen_device(device)
    return load_backbone(
        backbone,
        weights[0] if weights else None,
        mean=three_numbers(mean, "--mean"),
        std=three_numbers(std, "--std"),
        size=size,
        resize=resize,
    ).to(where)


def _settings(named: dict[str, float | None], param: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    for text in param:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise InputError(f"--param takes name=value, such as momentum=0.9; got {text!r}")
        if key in settings:
            raise InputError(f"{key} is given twice; give it once")
        try:
            settings[key] = json.loads(value)
        except ValueError:
            settings[key] = value
    return settings


def _summary(record: dict[str, Any], output: Path) -> str:
    total = record["misclassified"]
    if total is None:
        return f"no image was classified correctly before the attack; wrote {output}"
    text = f"of {total['n']} images that were classified correctly before the attack, "
    text += f"{_shares(record, 'misclassified')} are misclassified"
    if "evaded" in record:
        text += f"; {_shares(record, 'evaded')} are misclassified and not flagged"
    return f"{text}; wrote {output}"


def _shares(record: dict[str, Any], name: str) -> str:
    as_floats, as_file = (
        f"{100 * record[k]['value']:.1f} % ({100 * record[k]['low']:.1f} to {100 * record[k]['high']:.1f})"
        for k in (name, f"{name}_8bit")
    )
    return f"{as_floats} as floats, {as_file} as 8-bit images,"
