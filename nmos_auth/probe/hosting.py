"""The probe's Authorization Servers, and how a device finds the first of them."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from nmos_auth.discovery.dns_records import describe, zone_records
from nmos_auth.errors import ConfigurationError, MissingExtra
from nmos_auth.probe.authority import ProbeAuthority
from nmos_auth.probe.mint import ProbeKey
from nmos_auth.probe.wire import is_address
from nmos_auth.servers.listening import advice_for

with MissingExtra.named("probe", "trustme"):
    import trustme

__all__ = ["Hosting", "Servers", "hosted", "records_of"]


@dataclass(frozen=True, slots=True)
class Hosting:
    """How the probe's servers are reached.

    Attributes:
        address: where they listen.
        port: the port of the first one; 0 for any free port.
        name: the host name by which devices know it; "" for the address.
        other_name: another name of this machine, for a server that only tokens name; "" to look
            for one.
        tls: whether they speak TLS.
        certificate: their certificate; None to make one for this run.
        private_key: its key.
        multicast: whether the first one is advertised by multicast DNS-SD.
        priority: the priority in DNS-SD; 100 and more are for development.
    """

    address: str
    port: int
    name: str = ""
    other_name: str = ""
    tls: bool = True
    certificate: Path | None = None
    private_key: Path | None = None
    multicast: bool = False
    priority: int = 100

    @property
    def known_as(self) -> str:
        """The name by which devices know the first server."""
        return self.name or self.address

    @property
    def outsider(self) -> str:
        """Another name of this machine; "" if none is known."""
        if self.other_name:
            return self.other_name
        if not is_address(self.known_as):
            address = ipaddress.ip_address(self.address) if is_address(self.address) else None
            return "" if address is None or address.is_unspecified else self.address
        return "localhost" if ipaddress.ip_address(self.known_as).is_loopback else ""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that listen.

    Attributes:
        authority: the server whose tokens the device must accept.
        neighbour: another server on the same host, which is never advertised.
        outsider: a server under another host name, which is named only in tokens; None if no other
            name of this machine is known.
        ca_file: the root certificate of all; None if the user gave a certificate, or for http.
    """

    authority: ProbeAuthority
    neighbour: ProbeAuthority
    outsider: ProbeAuthority | None
    ca_file: Path | None


@contextlib.asynccontextmanager
async def hosted(hosting: Hosting) -> AsyncIterator[Servers]:
    """Run the servers until the block ends.

    Raises:
        ConfigurationError: they cannot listen, or cannot be advertised.
    """
    names = [each for each in (hosting.known_as, hosting.outsider) if each]
    with _context(hosting, names) as (context, ca_file):
        first, *others = [
            ProbeAuthority(name, hosting.address, [ProbeKey(key)], context, port)
            for name, key, port in (
                (hosting.known_as, "probe", hosting.port),
                (hosting.known_as, "neighbour", 0),
                (hosting.outsider, "outsider", 0),
            )
            if name
        ]
        async with contextlib.AsyncExitStack() as stack:
            for server in (first, *others):
                stack.push_async_callback(server.close)
                try:
                    await server.start()
                except OSError as error:
                    where = f"{hosting.address}:{server.port}"
                    advice = advice_for(error, address="--listen", port="--listen")
                    raise ConfigurationError(
                        f"--listen: {where}: {error.strerror}; {advice}"
                    ) from None
            if hosting.multicast:
                await stack.enter_async_context(_advertised(hosting, first.issuer))
            yield Servers(first, others[0], others[1] if others[1:] else None, ca_file)


def records_of(hosting: Hosting, issuer: str) -> str:
    """Return what a DNS zone must have for devices to find the first server (IS-10 "Discovery").

    The result is "" if its name is an address: an SRV record requires a host name.

    Args:
        hosting: how the server is reached.
        issuer: its issuer identifier.
    """
    if is_address(hosting.known_as):
        return ""
    service = describe(issuer, priority=hosting.priority)
    return zone_records(service, priority=hosting.priority)


@contextlib.asynccontextmanager
async def _advertised(hosting: Hosting, issuer: str) -> AsyncIterator[None]:
    # It requires another extra.
    from nmos_auth.discovery.advertising import issuer_advertised  # noqa: PLC0415 - see above

    if is_address(hosting.known_as):
        raise ConfigurationError("--multicast: --name must be a host name, for the SRV record")
    logger = logging.getLogger("nmos_auth.probe")
    async with issuer_advertised(
        issuer, bound_to=hosting.address, priority=hosting.priority, logger=logger
    ):
        yield


@contextlib.contextmanager
def _context(
    hosting: Hosting, names: list[str]
) -> Iterator[tuple[ssl.SSLContext | None, Path | None]]:
    if not hosting.tls:
        yield None, None
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if bool(hosting.certificate) != bool(hosting.private_key):
        raise ConfigurationError("--certificate and --private-key require each other")
    if hosting.certificate:
        try:
            context.load_cert_chain(hosting.certificate, hosting.private_key)
        except OSError as error:
            raise ConfigurationError(f"--certificate: {error}") from None
        yield context, None
        return
    authority = trustme.CA()
    authority.issue_cert(*names).configure_cert(context)
    with tempfile.TemporaryDirectory(prefix="nmos-auth-probe-") as directory:
        ca_file = Path(directory) / "root.crt"
        authority.cert_pem.write_to_path(ca_file)
        yield context, ca_file
