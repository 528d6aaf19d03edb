"""The port of the service, which workers share so that each gets its part of the connections."""

from __future__ import annotations

import socket
import sys
from typing import Any


class _Port(socket.socket):
    """Holds a port and does not listen on it; whoever gets it by pickle gets a socket of its own on that port.

    The system spreads connections over such sockets. On one socket that all workers listen on, the worker that wakes
    first takes most of them, and keeps them.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _socket_on, (self.family, self.getsockname())


def shared_port(bound: socket.socket) -> socket.socket:
    """Return what to give to worker processes in place of a socket that is bound and not listened on.

    Linux spreads connections over sockets of one port (``SO_REUSEPORT``); elsewhere workers get the socket itself.
    """
    if sys.platform != "linux":
        return bound
    family, address = bound.family, bound.getsockname()
    bound.close()  # it has shown that the port is free, and would keep the others from it
    return _socket_on(family, address, _Port)


def _socket_on(family: int, address: Any, kind: type[socket.socket] = socket.socket) -> socket.socket:
    own = kind(family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(address)
    return without_delay(own)


def without_delay(listening: socket.socket) -> socket.socket:
    """Have the connections of a socket send at once, and return it.

    asyncio asks for that only where a socket names its protocol, which uvicorn's do not. The second part of an answer
    would then wait until the first is acknowledged: 40 ms.
    """
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
