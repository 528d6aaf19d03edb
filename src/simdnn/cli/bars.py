"""Progress as bars on a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(TextColumn):
    """Images per second."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "")


class Bar:
    """Progress as a bar, which is called with (done, total) and never runs backwards."""

    def __init__(self, bars: Progress, description: str, then: str) -> None:
        self.bars, self.then = bars, then
        self.task = bars.add_task(description, total=None, visible=False)
        self.furthest = 0

    def __call__(self, done: int, total: int) -> None:
        """Move the bar."""
        self.furthest = max(done, self.furthest)
        self.bars.update(self.task, completed=self.furthest, total=total, visible=True)
        if self.then and self.furthest >= total:
            self.bars.update(self.task, description=self.then)


@contextmanager
def bars(descriptions: Sequence[str], then: str) -> Iterator[tuple[Bar, ...]]:
    """Show several bars on standard error, see :func:`simdnn.cli.progress.progress_bars`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        yield tuple(Bar(shown, description, then) for description in descriptions)
