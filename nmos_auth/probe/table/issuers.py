"""Whose tokens are accepted."""

from __future__ import annotations

from nmos_auth.probe.rows import Row, Suite, practice
from nmos_auth.probe.sentences import ANY_SERVER, ISSUERS_KEYS, UNVERIFIED
from nmos_auth.probe.table.statuses import INVALID

__all__ = ["ISSUERS"]

ISSUERS = (
    Row(
        "issuers-nobody",
        Suite.ISSUERS,
        "an issuer that does not exist",
        UNVERIFIED,
        INVALID,
        ANY_SERVER,
        warns=frozenset({403, 503}),
        token=lambda mint: mint.signed(
            mint.claims(iss="https://issuer.invalid"), key=mint.stranger
        ),
        forged=True,
    ),
    Row(
        "issuers-borrowed-name",
        Suite.ISSUERS,
        "the trusted issuer's name, with the key of another server",
        UNVERIFIED,
        INVALID,
        ANY_SERVER,
        warns=frozenset({403}),
        token=lambda mint: mint.signed(mint.claims(), key=mint.neighbour_key),
        forged=True,
    ),
    Row(
        "issuers-borrowed-key",
        Suite.ISSUERS,
        "another issuer's name, with the trusted issuer's key",
        ISSUERS_KEYS,
        INVALID,
        "The device does not tell issuers apart.",
        # IS-10 makes servers publish each other's keys; then a device cannot tell them apart.
        warns=frozenset({200, 403, 503}),
        token=lambda mint: mint.token(iss="https://issuer.invalid"),
        forged=True,
    ),
    *(
        Row(
            f"issuers-{name}",
            Suite.ISSUERS,
            title,
            practice("an issuer is a plain https URL, and no other address is asked"),
            INVALID,
            "The device sends requests to addresses that a stranger chooses.",
            warns=frozenset({403, 503}),
            token=lambda mint, iss=iss: mint.signed(  # type: ignore[misc]
                mint.claims(iss=iss), key=mint.stranger
            ),
            forged=True,
        )
        for name, title, iss in (
            ("file", "a file as issuer", "file:///etc/passwd"),
            ("empty", "an empty issuer", ""),
            ("text", "a text that is not a URL as issuer", "not a URL"),
            ("loopback", "a loopback address as issuer", "http://127.0.0.1:1"),
            ("user", "an issuer with a user name", "https://user:word@issuer.invalid"),
            ("fragment", "an issuer with a fragment", "https://issuer.invalid#x"),
            ("port", "an issuer with a port that is not valid", "https://issuer.invalid:99999"),
            ("address", "an issuer with an incomplete address", "https://[::1"),
            ("newline", "an issuer with a line break", "https://issuer.invalid\r\nX: y"),
            ("link-local", "a link-local address as issuer", "https://169.254.169.254"),
        )
    ),
    Row(
        "issuers-dots",
        Suite.ISSUERS,
        "the trusted issuer with `..` in its path",
        practice("a file on a server's host is not its metadata"),
        INVALID,
        "Anyone who can place a file on the server's host can make tokens.",
        warns=frozenset({403, 503}),
        token=lambda mint: mint.signed(
            mint.claims(iss=f"{mint.issuer}/../../planted"), key=mint.stranger
        ),
        forged=True,
    ),
)
