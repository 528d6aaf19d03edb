"""``simdnn check``: judge images."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simdnn.cli.check_csv import csv_rows
from simdnn.cli.check_features import judged_features, read_feature_guard
from simdnn.cli.check_ray import ray_verdicts
from simdnn.cli.given import given_beside
from simdnn.cli.optional_value import Ray
from simdnn.cli.options import (
    OPINION,
    RESULT,
    RULE,
    Alpha,
    AsJson,
    BatchSize,
    Certify,
    CertifyDraws,
    Device,
    GuardFile,
    MaxPixels,
    Rule,
    Trust,
    Weights,
    Workers,
    load_guard,
    set_speed,
)
from simdnn.cli.paths import images_named
from simdnn.cli.progress import progress_bar
from simdnn.cli.status import FLAGGED, UNREADABLE
from simdnn.cli.text import coloured, echo, second_opinion, shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.conformal.drift import DriftMonitor
    from simdnn.features.guard import FeatureGuard
    from simdnn.guard.guard import Guard
    from simdnn.guard.verdict import Verdict
    from simdnn.progress import Progress

FOR_FEATURES = frozenset(
    {"guard", "features", "as_json", "csv", "quiet", "audit", "fail_on_attack", "alpha", "per_class"}
)
"""Parameters of `check` that judging features heeds, besides the rule similarity."""


def check(
    context: typer.Context,
    guard: GuardFile,
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Image files, and folders of them; - for a list of paths on standard input."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Judge features by a guard of fit --features, instead of images: a folder of .npy or Parquet files."
        ),
    ] = None,
    null: Annotated[
        bool, typer.Option("-0", "--null", help="The list on standard input has NUL after each path.")
    ] = False,
    as_json: AsJson = False,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write the verdicts into this CSV file, too.", rich_help_panel=RESULT),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Print only what is flagged or unreadable.", rich_help_panel=RESULT),
    ] = False,
    audit: Annotated[
        str | None,
        typer.Option(
            help="Record what is flagged in this audit store, a file or a database URL.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    audit_images: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep the flagged images themselves, too, in this folder or at this URL for fsspec.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    fail_on_attack: Annotated[
        bool,
        typer.Option(
            "--fail-on-attack", help="Exit with status 3 if anything was flagged.", rich_help_panel=RESULT
        ),
    ] = False,
    rule: Rule = None,
    alpha: Alpha = None,
    per_class: Annotated[
        bool,
        typer.Option(
            "--per-class",
            help="Keep the false-alarm rate within each class; needs 1/alpha - 1 images of it held out.",
            rich_help_panel=RULE,
        ),
    ] = False,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Watch the images, in the order given, as a stream, too: does it stop looking like clean ones? "
            "It needs their usual mixture; a folder sorted by class is none.",
            rich_help_panel=RULE,
        ),
    ] = False,
    delta: Annotated[
        float,
        typer.Option(
            help="Probability that --drift ever raises a false alarm, however long the stream.",
            rich_help_panel=RULE,
        ),
    ] = 0.01,
    certify: Certify = False,
    draws: CertifyDraws = 1000,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Take noise that never comes again, instead of the noise that follows from the guard's secret and the "
            "image; the verdict then cannot be replayed.",
            rich_help_panel=OPINION,
        ),
    ] = False,
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            help="Stop the draws of the second opinion once the verdict is clear: it is the same, and sooner.",
            rich_help_panel=OPINION,
        ),
    ] = False,
    weights: Weights = None,
    trust: Trust = None,
    device: Device = None,
    ray: Ray = None,
    batch_size: BatchSize = 32,
    workers: Workers = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Say of each image whether it is clean or a possible attack.

    Exit status: 0 if every image was checked, 1 if some could not be read, 2 for a mistake, 3 with --fail-on-attack if
    one was flagged, 74 if a result could not be written.
    """
    if early and drift:
        raise InputError("--drift needs the scores of all draws; leave out --early")
    loaded: Guard | FeatureGuard
    paths: list[Path] = []
    if features is not None:
        heeded = FOR_FEATURES | ({"rule"} if rule == "similarity" else set())
        loaded = on_features = read_feature_guard(guard, given_beside(context, heeded))
    else:
        given = given_beside(context, ())
        if not certify and "--draws" in given:
            raise InputError("--draws needs --certify, whose noisy draws they are; leave it out")
        if not drift and "--delta" in given:
            raise InputError("--delta needs --drift, whose false alarms it bounds; leave it out")
        if ray is not None and (null or Path("-") in (images or [])):
            raise InputError(
                "--ray takes no list of paths on standard input; name image files, folders, URLs or a Parquet file"
            )
        loaded = on_images = load_guard(guard, weights, trust, device)
        paths = images_named(images or [], null=null) if ray is None else images or []
    count = {"clean": 0, "attack": 0, "error": 0}
    watch = _Watch(on_images.drift_monitor(rule, delta=delta)) if drift else None
    with ExitStack() as opened:
        record = opened.enter_context(_recorder(audit, audit_images, loaded))
        row = opened.enter_context(csv_rows(csv))
        progress = opened.enter_context(_bar_beside(as_json))
        asked = {
            "rule": rule,
            "alpha": alpha,
            "per_class": per_class,
            "certify": draws if certify else None,
            "fresh": fresh,
            "early": early,
            "progress": progress,
        }
        judged: Iterator[tuple[Verdict, bytes | None]]
        if features is not None:
            judged = judged_features(
                on_features, features, alpha=alpha, per_class=per_class, progress=progress
            )
        elif ray is not None:
            judged, record = opened.enter_context(
                ray_verdicts(
                    ray,
                    on_images,
                    paths,
                    asked,
                    keep_bytes=audit_images is not None,
                    audit=audit,
                    device=device,
                    actors=workers,
                    batch_size=batch_size,
                    max_pixels=max_pixels,
                    record=record,
                )
            )
        else:
            judged = _judged(on_images, paths, asked, keep_bytes=audit_images is not None)
            set_speed(on_images, batch_size, workers, max_pixels)
        for verdict, data in judged:
            count[verdict.verdict] += 1
            if verdict.verdict == "attack":
                record(verdict, data)
            row(verdict)
            state = watch.observe(verdict) if watch else {}
            if not (quiet and verdict.verdict == "clean"):
                echo(json.dumps(verdict.as_dict() | state) if as_json else _line(verdict, loaded))
    if not as_json:
        if watch:
            echo(watch.summary(delta))
        echo(f"{count['clean']} clean, {count['attack']} possible attacks, {count['error']} not readable")
    if fail_on_attack and count["attack"]:
        raise typer.Exit(FLAGGED)
    if count["error"]:
        raise typer.Exit(UNREADABLE)


def _judged(
    guard: Guard, paths: list[Path], asked: dict[str, Any], *, keep_bytes: bool
) -> Iterator[tuple[Verdict, bytes | None]]:
    """Judge images, as ``asked`` of :meth:`Guard.check`; with the bytes that were judged if they are to be kept."""
    if keep_bytes:
        return guard.check_with_bytes(paths, **asked)
    return ((verdict, None) for verdict in guard.check(paths, **asked))


class _Watch:
    """Watches the scores as a stream."""

    def __init__(self, monitor: DriftMonitor) -> None:
        self.monitor = monitor
        self.alarm = 0

    def observe(self, verdict: Verdict) -> dict[str, object]:
        if verdict.score is None:
            return {}
        state = self.monitor.observe(verdict.score)
        self.alarm = self.alarm or (state.n if state.alarm else 0)
        return {"drift": asdict(state)}

    def summary(self, delta: float) -> str:
        if self.alarm:
            return (
                f"drift alarm at image {self.alarm}: "
                "the images since some point before it are not like the clean ones"
            )
        return f"no drift: the scores look like those of clean images (delta {delta:g})"


def _line(verdict: Verdict, guard: Guard | FeatureGuard) -> str:
    if verdict.verdict == "error":
        return shown(f"error   {verdict.path}: {verdict.error}")
    p_value = "" if verdict.p_value is None else f", p = {verdict.p_value:.3g}"
    if verdict.verdict == "clean":
        colour, text = typer.colors.GREEN, f"{verdict.label}, as {verdict.prototype}"
    else:
        colour, text = typer.colors.RED, _both(verdict, guard)
    return coloured(f"{verdict.verdict:<8}", colour) + shown(
        f"{verdict.path}: {text} (score {verdict.score:.4g}, threshold {verdict.threshold:.4g}{p_value})"
        f"{second_opinion(verdict)}"
    )


def _both(verdict: Verdict, guard: Guard | FeatureGuard) -> str:
    """Say what the prototypes and the classifier see; with care where they have different names for the classes."""
    if verdict.classifier_label is None or not hasattr(guard, "networks"):
        return f"nearest is {verdict.label}, as {verdict.prototype}"
    if verdict.label == verdict.classifier_label:
        return f"looks like {verdict.label}, as the classifier says"
    if verdict.label in (guard.networks[0].categories or guard.classes):
        return f"looks like {verdict.label}, classifier says {verdict.classifier_label}"
    return f"looks like the class folder {verdict.label}, classifier's own name {verdict.classifier_label}"


def _bar_beside(as_json: bool) -> AbstractContextManager[Progress | None]:
    """Show progress only where the verdicts themselves do not scroll over the screen."""
    return progress_bar("checking") if as_json or not sys.stdout.isatty() else nullcontext()


@contextmanager
def _recorder(
    audit: str | None, images: str | None, guard: Guard | FeatureGuard
) -> Iterator[Callable[[Verdict, bytes | None], object]]:
    """Yield what keeps a flagged verdict: in the audit store, or nowhere if there is none."""
    if audit is None:
        if images is not None:
            raise InputError("--audit-images needs --audit, the store that its images belong to")
        yield lambda _, __: None
        return
    from simdnn.audit.store import AuditStore

    model_id = guard.model_id
    with AuditStore.open(audit, images=images) as store:
        yield lambda verdict, data: store.record(verdict, model_id=model_id, image=data)
