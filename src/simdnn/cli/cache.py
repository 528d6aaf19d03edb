"""``simdnn cache``: what is kept of networks' work, and how to be rid of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from simdnn.cli.options import AsJson
from simdnn.cli.text import echo, shown

app = typer.Typer(
    help="Show or clear what is kept of images that went through a network.", no_args_is_help=True
)

CacheFile = Annotated[
    Path | None, typer.Option("--cache", help="The file.", show_default="in the user's cache folder")
]


@app.command()
def info(cache: CacheFile = None, as_json: AsJson = False) -> None:
    """Say where the cache is and how much it holds."""
    from simdnn.networks.cache import DEFAULT_LIMIT, CacheInfo, FeatureCache, default_cache

    path = cache or default_cache()
    found = CacheInfo(str(path), 0, 0, DEFAULT_LIMIT)
    if path.exists():
        with FeatureCache(path) as opened:
            found = opened.info()
    if as_json:
        echo(json.dumps(asdict(found)))
        return
    echo(
        shown(f"{found.path}: {found.rows:,} images, {found.bytes / 1e6:,.1f} MB of {found.limit / 1e6:,.0f}")
    )


@app.command()
def clear(cache: CacheFile = None, as_json: AsJson = False) -> None:
    """Delete the cache; whatever is needed again is computed again."""
    from simdnn.networks.cache import clear_cache, default_cache

    path = cache or default_cache()
    freed = clear_cache(path)
    if as_json:
        echo(json.dumps({"path": str(path), "freed_bytes": freed}))
        return
    echo(shown(f"deleted {path}: {freed / 1e6:,.1f} MB" if freed else f"nothing is kept in {path}"))
