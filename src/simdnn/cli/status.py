"""Exit statuses, so that a program that runs this one can tell what happened."""

from __future__ import annotations

UNREADABLE = 1
"""Some images could not be read; the others were done."""

MISTAKE = 2
"""An expected error, such as an option that does not fit; it is one line on standard error."""

FLAGGED = 3
"""With ``--fail-on-attack``: an image was flagged."""

CRASH = 70
"""A fault of this program, as in ``sysexits.h``."""

NOT_WRITTEN = 74
"""A result could not be written: a full disk, for instance; as in ``sysexits.h``."""

INTERRUPTED = 130
"""128 and the number of the signal that Ctrl-C sends, as shells report it."""

CLOSED_PIPE = 141
"""The reader of a pipe has gone: 128 and the signal's number, as shells report it."""
