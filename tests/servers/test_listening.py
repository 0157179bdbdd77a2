"""Sockets that listen, and the advice where one cannot."""

import errno
import os
import socket

import pytest

from nmos_auth.servers.listening import CannotListen, advice_for, listen

NAMES = {"address_setting": "LISTEN", "port_setting": "PORT"}


def test_any_port() -> None:
    """The socket listens, and what it accepts answers at once."""
    with listen("127.0.0.1", 0, **NAMES) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with socket.create_connection(listener.getsockname()):
            pass


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use(host: str) -> None:
    """The message names the port, the reason, and the setting for another port."""
    with listen(host, 0, **NAMES) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            listen(host, port, **NAMES)
    assert str(caught.value) == (
        f"{host} port {port}: Address already in use; end the program that uses it, or choose"
        " another port with PORT"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_no_address_of_this_machine(host: str) -> None:
    """The message names the setting for the address."""
    with pytest.raises(CannotListen, match=f"^{host} port 0: .*; choose an address .* LISTEN$"):
        listen(host, 0, **NAMES)


def test_a_port_of_the_administrator() -> None:
    """The advice is a port that anybody may use."""
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert advice_for(error, address="LISTEN", port="PORT") == (
        "choose a port above 1023 with PORT"
    )
