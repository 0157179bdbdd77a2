"""Sockets that listen, and what to do where an address cannot be listened on."""

from __future__ import annotations

import errno
import os
import socket

__all__ = ["CannotListen", "advice_for", "listen"]


class CannotListen(OSError):
    """An address cannot be listened on; the message names it, says why, and what to do."""


def advice_for(error: OSError, *, address: str, port: str) -> str:
    """Return what to do about an address that cannot be listened on.

    Args:
        error: what the system says.
        address: the setting or option that names the address.
        port: the one that names the port.
    """
    if error.errno == errno.EADDRINUSE:
        return f"end the program that uses it, or choose another port with {port}"
    if error.errno == errno.EACCES:
        return f"choose a port above 1023 with {port}"
    return f"choose an address of this machine with {address}"


def listen(host: str, port: int, *, address_setting: str, port_setting: str) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: the name or address.
        port: the port; 0 for any.
        address_setting: the setting or option that names the host, for the message.
        port_setting: the one that names the port.

    Raises:
        CannotListen: the system does not permit it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        advice = advice_for(error, address=address_setting, port=port_setting)
        raise CannotListen(f"{host} port {port}: {_reason(error)}; {advice}") from None
    # Connections inherit this option. asyncio sets it only on sockets that name their protocol;
    # without it, every answer waits for a delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    # Python adds the address to the system's text, which the message has already.
    return os.strerror(error.errno)
