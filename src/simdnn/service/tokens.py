"""The file of tokens: who may ask, in which role; of a token itself only the hash is kept."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from threading import Lock

from simdnn.atomic import write_whole
from simdnn.errors import InputError
from simdnn.guard.file import locked

ROLES = ("checker", "auditor")
"""``checker`` may have images checked; ``auditor`` may also see what was flagged, label it, and change the guard."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Token:
    """One line of the file: whose token it is, its role, its SHA-256, and when it was made."""

    name: str
    role: str
    sha256: str
    created: str

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise InputError(
                f"expected a name of letters, digits and ._@-, at most 64, such as alice; got {self.name!r}"
            )
        if self.role not in ROLES:
            raise InputError(f"no role {self.role!r}; the roles are {', '.join(ROLES)}")
        if not (isinstance(self.sha256, str) and _HASH.fullmatch(self.sha256)):
            raise InputError(f"expected the SHA-256 of the token of {self.name}, got {self.sha256!r}")

    def toml(self) -> str:
        """Return the token as part of the file."""
        pairs = "\n".join(f'{key} = "{value}"' for key, value in vars(self).items())
        return f"[[token]]\n{pairs}\n"


class TokenBook:
    """The tokens of a file, read again when it has changed: a revoked token ends at once.

    Parameters
    ----------
    path : the file; None for a book without tokens

    Raises
    ------
    InputError
        If the file cannot be read, or is no file of tokens.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = Lock()
        self._read: tuple[tuple[int, int, int] | None, tuple[Token, ...]] = (None, ())
        self.tokens  # noqa: B018  # InputError now rather than at the first request

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All tokens, in the file's order."""
        if self.path is None:
            return ()
        try:
            found = self.path.stat()
        except OSError as error:
            raise InputError(
                f"the file of tokens {self.path} cannot be read: {error.strerror}; `simdnn token add NAME --role "
                "auditor --file FILE` makes one"
            ) from error
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._lock:
            if self._read[0] != state:
                self._read = (state, read_tokens(self.path))
            return self._read[1]

    def find(self, secret: str) -> Token | None:
        """Return whose token this is; all hashes are compared, each in constant time."""
        digest = sha256(secret.encode(errors="surrogatepass")).hexdigest()
        found = None
        for token in self.tokens:
            if compare_digest(token.sha256, digest):
                found = token
        return found

    def holds(self, digest: str) -> Token | None:
        """Return the token with that hash, for a session that began with it; None once it is revoked."""
        return next((token for token in self.tokens if token.sha256 == digest), None)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a file of tokens; InputError if it is none."""
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("token", [])
        tokens = tuple(Token(**row) for row in rows)
    except OSError as error:
        raise InputError(f"the file of tokens {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no file of tokens: {error}; `simdnn token add` makes one") from error
    names = [token.name for token in tokens]
    if len(set(names)) < len(names):
        raise InputError(f"{path} has two tokens of one name; revoke one by hand")
    return tokens


def add_token(path: Path, name: str, role: str) -> str:
    """Add a token to a file, which is made if there is none; return the token, which is nowhere kept.

    Raises
    ------
    InputError
        If there is such a name already, or name or role cannot be.
    """
    secret = f"sd_{token_urlsafe(32)}"
    made = Token(
        name,
        role,
        sha256(secret.encode()).hexdigest(),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )
    _create(path)
    with locked(path):
        tokens = read_tokens(path)
        if any(token.name == name for token in tokens):
            raise InputError(f"{path} has a token of {name} already; revoke it first, or take another name")
        _write(path, (*tokens, made))
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from a file; InputError if there is none of that name."""
    with locked(path):
        tokens = read_tokens(path)
        left = tuple(token for token in tokens if token.name != name)
        if len(left) == len(tokens):
            raise InputError(f"{path} has no token of {name}; `simdnn token list` shows all")
        _write(path, left)


def _create(path: Path) -> None:
    """Make an empty file if there is none; of several who do that at once, none empties what another wrote."""
    try:
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise InputError(f"the file of tokens {path} cannot be written: {error.strerror}") from error


def _write(path: Path, tokens: tuple[Token, ...]) -> None:
    text = "\n".join(token.toml() for token in tokens)
    try:
        write_whole(path, text.encode(), keep_access=True)
    except OSError as error:
        raise InputError(f"the file of tokens {path} cannot be written: {error.strerror}") from error
