"""A DNS server on loopback whose records change while it runs, made without dnspython."""

from __future__ import annotations

import contextlib
import io
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.name
import pytest
from dnslib import (  # type: ignore[import-untyped]
    CNAME,
    PTR,
    QTYPE,
    RCODE,
    RR,
    SOA,
    SRV,
    TXT,
    DNSLabel,
    DNSRecord,
)

__all__ = ["REGISTER", "SERVICE", "DnsServer", "Reply"]

SERVICE = "_nmos-auth._tcp"
REGISTER = "_nmos-register._tcp"
LARGEST_DATAGRAM = 512
LONGEST_CHAIN = 20

Name = str | tuple[bytes, ...]
Reply = Callable[[bytes], bytes | None]


def _text(name: Name) -> str:
    """Write a name as questions and records are looked up here."""
    text = str(DNSLabel(name)) if isinstance(name, tuple) else name
    return text.removesuffix(".").lower()


@dataclass(frozen=True)
class _Record:
    data: str
    record: object


@dataclass
class DnsServer:
    """Serves one zone, by UDP and TCP.

    Attributes:
        domain: the zone.
        minimum: the SOA record's minimum, which is the time-to-live of negative answers.
        rcode: what every question is answered with instead, unless "NOERROR".
        reply: what answers in its place: from a packet to a packet, or to None for silence.
        additional: whether SRV and TXT records come with PTR records.
        patience: seconds that its resolvers allow an answer.
        questions: name and type of each question so far.
    """

    domain: str = "example.com"
    minimum: int = 300
    rcode: str = "NOERROR"
    reply: Reply | None = None
    additional: bool = True
    patience: float = 5.0
    questions: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0
    _zone: dict[tuple[str, str], list[_Record]] = field(default_factory=dict)

    # Records

    def _add(self, name: Name, data: object, ttl: int) -> None:
        kind = type(data).__name__
        record = RR(DNSLabel(name), getattr(QTYPE, kind), ttl=ttl, rdata=data)
        self._zone.setdefault((_text(name), kind), []).append(_Record(str(data), record))

    def remove(self, name: Name) -> None:
        """Remove all records of a name, and those that point to it."""
        self._zone = {
            key: kept
            for key, records in self._zone.items()
            if key[0] != _text(name)
            and (kept := [each for each in records if _text(each.data) != _text(name)])
        }

    def point(self, name: Name, target: Name, ttl: int = 60) -> None:
        """Add a PTR record."""
        self._add(name, PTR(DNSLabel(target)), ttl)

    def alias(self, name: Name, target: str, ttl: int = 60) -> None:
        """Add a CNAME record."""
        self._add(name, CNAME(target), ttl)

    def serve_at(self, name: Name, host: str, port: int, ttl: int = 60) -> None:
        """Add an SRV record."""
        self._add(name, SRV(0, 0, port, host), ttl)

    def describe(self, name: Name, *strings: str, ttl: int = 60) -> None:
        """Add a TXT record."""
        self._add(name, TXT([each.encode() for each in strings]), ttl)

    def advertise(
        self,
        host: str,
        port: int = 443,
        *,
        instance: str = "auth",
        pri: int = 0,
        api_proto: str = "https",
        selector: str | None = None,
        ttl: int = 60,
    ) -> None:
        """Advertise an Authorization Server as IS-10 "Discovery" has it."""
        name = self.instance(instance)
        strings = ["api_ver=v1.0", f"api_proto={api_proto}", f"pri={pri}"]
        if selector is not None:
            strings.append(f"api_selector={selector}")
        self.point(f"{SERVICE}.{self.domain}", name, ttl)
        self.serve_at(name, host, port, ttl)
        self.describe(name, *strings, ttl=ttl)

    def advertise_registry(
        self,
        host: str,
        port: int = 443,
        *,
        instance: str = "registry",
        pri: int = 0,
        api_proto: str = "https",
        api_ver: str = "v1.2,v1.3",
        api_auth: str | None = "true",
    ) -> None:
        """Advertise a Registration API as IS-04 "Discovery: Registered Operation" has it."""
        name = self.instance(instance, REGISTER)
        strings = [f"api_ver={api_ver}", f"api_proto={api_proto}", f"pri={pri}"]
        if api_auth is not None:
            strings.append(f"api_auth={api_auth}")
        self.point(f"{REGISTER}.{self.domain}", name)
        self.serve_at(name, host, port)
        self.describe(name, *strings)

    def instance(self, label: str = "auth", service: str = SERVICE) -> Name:
        """Return a service instance's name, whose first label may hold dots."""
        return (label.encode(), *f"{service}.{self.domain}".encode().split(b"."))

    def withdraw(self, instance: str = "auth", service: str = SERVICE) -> None:
        """Advertise a server no more."""
        self.remove(self.instance(instance, service))

    # Questions

    def resolver(self, *search: str) -> dns.asyncresolver.Resolver:
        """Return a resolver that asks this server."""
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        resolver.timeout, resolver.lifetime = self.patience / 2, self.patience
        resolver.domain = dns.name.root
        resolver.search = [dns.name.from_text(each) for each in search or (self.domain,)]
        return resolver

    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let resolvers that read this machine's configuration find this server in it."""
        server = self

        class Configured(dns.asyncresolver.Resolver):
            def __init__(self) -> None:
                super().__init__(io.StringIO(f"nameserver 127.0.0.1\nsearch {server.domain}\n"))
                self.port = server.port
                self.timeout, self.lifetime = server.patience / 2, server.patience

        monkeypatch.setattr(dns.asyncresolver, "Resolver", Configured)

    def count(self, kind: str) -> int:
        """Count the questions for records of a type."""
        return sum(each == kind for _, each in self.questions)

    def answer(self, packet: bytes, *, largest: int | None = None) -> bytes | None:
        """Answer one packet."""
        request = DNSRecord.parse(packet)
        name, kind = _text(str(request.q.qname)), QTYPE[request.q.qtype]
        self.questions.append((name, kind))
        if self.reply is not None:
            return self.reply(packet)
        reply = request.reply()
        if self.rcode == "NOERROR":
            for _ in range(LONGEST_CHAIN):
                if (name, kind) in self._zone or (name, "CNAME") not in self._zone:
                    break
                (alias,) = self._zone[name, "CNAME"]
                reply.add_answer(alias.record)
                name = _text(alias.data)
            found = self._zone.get((name, kind), [])
            reply.add_answer(*(each.record for each in found))
            reply.add_ar(*(each.record for each in self._besides(found)))
            if not found:
                reply.add_auth(self._soa())
                if not any(each == name for each, _ in self._zone):
                    reply.header.rcode = RCODE.NXDOMAIN
        else:
            reply.header.rcode = getattr(RCODE, self.rcode)
        packed: bytes = reply.pack()
        if largest is not None and len(packed) > largest:
            reply = request.reply()
            reply.header.tc = 1
            packed = reply.pack()
        return packed

    def _besides(self, pointers: Sequence[_Record]) -> list[_Record]:
        if not self.additional:
            return []
        targets = [_text(each.data) for each in pointers]
        return [
            record
            for target in targets
            for kind in ("SRV", "TXT")
            for record in self._zone.get((target, kind), [])
        ]

    def _soa(self) -> object:
        times = (1, 3600, 600, 86400, self.minimum)
        data = SOA(f"ns.{self.domain}", f"hostmaster.{self.domain}", times)
        record: object = RR(self.domain, QTYPE.SOA, ttl=3600, rdata=data)
        return record

    @contextlib.contextmanager
    def running(self) -> Iterator[DnsServer]:
        """Run until the block ends, on the port of the run before if there was one."""
        with contextlib.ExitStack() as stack:
            for server in self._listening():
                stack.callback(server.server_close)
                thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(server.shutdown)
            yield self

    def _listening(self) -> tuple[socketserver.BaseServer, ...]:
        for _ in range(10):
            datagrams = socketserver.UDPServer(("127.0.0.1", self.port), self._handler(_Datagram))
            port = datagrams.server_address[1]
            with contextlib.suppress(OSError):
                streams = _StreamServer(("127.0.0.1", port), self._handler(_Stream))
                self.port = port
                return datagrams, streams
            datagrams.server_close()
        raise RuntimeError("no port is free for both UDP and TCP")

    def _handler(self, kind: type[_Handler]) -> type[_Handler]:
        return type(kind.__name__, (kind,), {"answer": staticmethod(self.answer)})


class _StreamServer(socketserver.TCPServer):
    allow_reuse_address = True


class _Handler(socketserver.BaseRequestHandler):
    answer: Callable[..., bytes | None]


class _Datagram(_Handler):
    def handle(self) -> None:
        packet, listener = self.request
        reply = self.answer(packet, largest=LARGEST_DATAGRAM)
        if reply is not None:
            listener.sendto(reply, self.client_address)


class _Stream(_Handler):
    def handle(self) -> None:
        with self.request.makefile("rwb") as file:
            length = int.from_bytes(file.read(2), "big")
            reply = self.answer(file.read(length)) if length else None
            if reply is not None:
                file.write(len(reply).to_bytes(2, "big") + reply)
