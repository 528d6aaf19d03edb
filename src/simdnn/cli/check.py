"""``simdnn check``: judge images."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simdnn.cli.options import Alpha, AsJson, GuardFile, Rule, Trust, Weights, load_guard
from simdnn.cli.progress import progress_bar
from simdnn.cli.text import shown
from simdnn.errors import InputError

if TYPE_CHECKING:
    from simdnn.guard.guard import Guard
    from simdnn.guard.verdict import Verdict

FLAGGED, UNREADABLE = 3, 1


def check(
    guard: GuardFile,
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    as_json: AsJson = False,
    audit: Annotated[
        str | None, typer.Option(help="Record what is flagged in this audit store, a file or a database URL.")
    ] = None,
    audit_images: Annotated[
        Path | None, typer.Option(help="Keep the flagged images themselves in this folder, too.")
    ] = None,
    rule: Rule = None,
    alpha: Alpha = None,
    per_class: Annotated[
        bool,
        typer.Option(
            "--per-class",
            help="Keep the false-alarm rate within each class; needs 1/alpha - 1 images of it held out.",
        ),
    ] = False,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Watch the images, in the order given, as a stream, too: does it stop looking like clean ones? "
            "It needs their usual mixture; a folder sorted by class is none.",
        ),
    ] = False,
    delta: Annotated[
        float,
        typer.Option(help="Probability that --drift ever raises a false alarm, however long the stream."),
    ] = 0.01,
    certify: Annotated[
        bool,
        typer.Option(
            "--certify",
            help="Say how far away an original must be for the second opinion on it to be another: certified_radius.",
        ),
    ] = False,
    draws: Annotated[int, typer.Option(min=1, help="Noisy draws of each image for --certify.")] = 1000,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Take noise that never comes again, instead of the noise that follows from the guard's secret and the "
            "image; the verdict then cannot be replayed.",
        ),
    ] = False,
    early: Annotated[
        bool,
        typer.Option(
            "--early",
            help="Stop the draws of the second opinion once the verdict is clear: it is the same, and sooner.",
        ),
    ] = False,
    fail_on_attack: Annotated[
        bool, typer.Option("--fail-on-attack", help="Exit with status 3 if anything was flagged.")
    ] = False,
    weights: Weights = None,
    trust: Trust = None,
) -> None:
    """Say of each image whether it is clean or a possible attack.

    Exit status: 0 if every image was checked, 1 if some could not be read, 3 with --fail-on-attack if one was flagged.
    """
    if early and drift:
        raise InputError("--drift needs the scores of all draws; leave out --early")
    loaded = load_guard(guard, weights, trust)
    count = {"clean": 0, "attack": 0, "error": 0}
    monitor = loaded.drift_monitor(rule, delta=delta) if drift else None
    alarm = 0
    with _recorder(audit, audit_images, loaded) as record, _bar_beside(as_json) as progress:
        verdicts = loaded.check(
            images,
            rule=rule,
            alpha=alpha,
            per_class=per_class,
            certify=draws if certify else None,
            fresh=fresh,
            early=early,
            progress=progress,
        )
        for verdict in verdicts:
            count[verdict.verdict] += 1
            if verdict.verdict == "attack":
                record(verdict)
            told = verdict.as_dict()
            if monitor and verdict.score is not None:
                state = monitor.observe(verdict.score)
                told["drift"] = asdict(state)
                alarm = alarm or (state.n if state.alarm else 0)
            typer.echo(json.dumps(told) if as_json else _line(verdict))
    if not as_json and monitor:
        typer.echo(
            f"drift alarm at image {alarm}: the images since some point before it are not like the clean ones"
            if alarm
            else f"no drift: the scores look like those of clean images (delta {delta:g})"
        )
    if not as_json:
        typer.echo(
            f"{count['clean']} clean, {count['attack']} possible attacks, {count['error']} not readable"
        )
    if fail_on_attack and count["attack"]:
        raise typer.Exit(FLAGGED)
    if count["error"]:
        raise typer.Exit(UNREADABLE)


def _line(verdict: Verdict) -> str:
    if verdict.verdict == "error":
        return shown(f"error   {verdict.path}: {verdict.error}")
    p_value = "" if verdict.p_value is None else f", p = {verdict.p_value:.3g}"
    if verdict.verdict == "attack":
        colour, said = (
            typer.colors.RED,
            f"looks like {verdict.label}, classifier says {verdict.classifier_label}",
        )
    else:
        colour, said = typer.colors.GREEN, f"{verdict.label}, as {verdict.prototype}"
    return typer.style(f"{verdict.verdict:<8}", fg=colour) + shown(
        f"{verdict.path}: {said} (score {verdict.score:.4g}, threshold {verdict.threshold:.4g}{p_value})"
        f"{_opinion(verdict)}"
    )


def _opinion(verdict: Verdict) -> str:
    """Say what the second opinion is, and what it certifies."""
    if verdict.opinion is None:
        return ""
    said = f"; second opinion: {verdict.opinion:.0%} of the draws say {verdict.opinion_class}"
    if verdict.certified_radius is None:
        return said
    if not verdict.certified_radius:
        return f"{said}; nothing is certified"
    return (
        f"{said}; no change smaller than {verdict.certified_radius:.2f} (L2) can be why both networks say "
        f"{verdict.opinion_class}"
    )


def _bar_beside(as_json: bool) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """Show a bar only where the verdicts themselves do not scroll over the screen."""
    return progress_bar("checking") if as_json or not sys.stdout.isatty() else nullcontext()


@contextmanager
def _recorder(audit: str | None, images: Path | None, guard: Guard) -> Iterator[Callable[[Verdict], object]]:
    """Yield what keeps a flagged verdict: in the audit store, or nowhere if there is none."""
    if audit is None:
        if images is not None:
            raise InputError("--audit-images needs --audit, the store that its images belong to")
        yield lambda _: None
        return
    from simdnn.audit.store import AuditStore

    model_id = guard.model_id
    with AuditStore.open(audit, images=images) as store:
        yield lambda verdict: store.record(
            verdict, model_id=model_id, image=_bytes(verdict) if images else None
        )


def _bytes(verdict: Verdict) -> bytes | None:
    """Read the image that was judged once more; None, said on stderr, if it has gone meanwhile."""
    try:
        return Path(verdict.path).read_bytes()
    except OSError as error:
        typer.echo(f"recorded without its image, {shown(verdict.path)}: {error.strerror}", err=True)
        return None
