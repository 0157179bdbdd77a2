"""What IS-10 and BCP-003-02 say about IS-05, on a Sender of the device."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, bcp_003_02, is_10
from nmos_auth.probe.sentences import LESS, MORE, NO_CREDENTIALS, OTHER_SPELLING, PERMISSIONS_OBJECT
from nmos_auth.probe.table.statuses import CLOSED, FORBIDDEN, INVALID, PERMITTED
from nmos_auth.probe.table.tokens import reading

__all__ = ["CONNECTION"]

_EXAMPLE = is_10(
    PERMISSIONS_OBJECT, "`*` encompasses several segments, as the examples show", Force.STATED
)
_DOTS = is_10(PERMISSIONS_OBJECT, "`single/../bulk` is not permitted by `single/*`")
_FILE = bcp_003_02("Transport File Authorization", "a transport file is checked as any other path")
_DIRECT = bcp_003_02("Transport File Authorization", "a transport file is answered 200, not 3xx")
_WRITE = is_10(PERMISSIONS_OBJECT, "PATCH requires the permission to write", Force.STATED)
_SENDER = "{base}/single/senders/{sender}"
_WARNS = {
    # A Sender that is not active, or has no such file.
    "file-granted": frozenset({404}),
    "staged-granted": frozenset({200, 202, 409, 422, 423}),
}


def _writing(*specifiers: str) -> Maker:
    return lambda mint: mint.token(scope=None, x_nmos={"read": ["*"], "write": [*specifiers]})


def _row(
    name: str,
    title: str,
    source: Source,
    passes: frozenset[int],
    meaning: str,
    token: Maker | None,
    *,
    target: str = f"{_SENDER}/transportfile",
    staged: bool = False,
) -> Row:
    return Row(
        f"connection-{name}",
        Suite.CONNECTION,
        title,
        source,
        passes,
        meaning,
        warns=_WARNS.get(name, INVALID if passes == FORBIDDEN else frozenset()),
        token=token,
        target=f"{_SENDER}/staged" if staged else target,
        method="PATCH" if staged else "GET",
        # No Sender accepts this: IS-05 requires a boolean.
        body=(lambda _: {"master_enable": "nmos-auth probe"}) if staged else None,
        api="connection",
        writes=staged,
    )


CONNECTION = (
    _row(
        "example-start",
        "`single*`, which is IS-10's own example",
        _EXAMPLE,
        PERMITTED,
        LESS,
        reading("single*"),
        target=f"{_SENDER}/constraints",
    ),
    _row(
        "example-middle",
        "`single/senders/*/constraints`, another of its examples",
        _EXAMPLE,
        PERMITTED,
        LESS,
        reading("single/senders/*/constraints"),
        target=f"{_SENDER}/constraints",
    ),
    _row(
        "example-dots",
        "`single/../bulk` with `single/*`, another of its examples",
        _DOTS,
        CLOSED,
        OTHER_SPELLING,
        reading("single/*"),
        target="{base}/single/../bulk",
    ),
    _row(
        "file-none",
        "a transport file without a token",
        NO_CREDENTIALS,
        INVALID,
        "Anybody on the network can learn where the media are, and receive them.",
        None,
    ),
    _row(
        "file-granted",
        "a transport file with a token for transport files",
        _DIRECT,
        PERMITTED,
        "Receivers cannot be connected to this Sender.",
        reading("single/senders/*/transportfile"),
    ),
    _row(
        "file-other",
        "a transport file with a token for something else of the Sender",
        _FILE,
        FORBIDDEN,
        MORE,
        reading("single/senders/*/constraints"),
    ),
    _row(
        "staged-none",
        "an invalid PATCH of a Sender, without a token",
        NO_CREDENTIALS,
        INVALID,
        "Anybody on the network can switch this device.",
        None,
        staged=True,
    ),
    _row(
        "staged-read",
        "an invalid PATCH of a Sender, with a token that may only read",
        _WRITE,
        FORBIDDEN,
        "Clients that may only read can also switch this Sender.",
        reading("*"),
        staged=True,
    ),
    _row(
        "staged-other",
        "an invalid PATCH of a Sender, with a token that may write to Receivers",
        _WRITE,
        FORBIDDEN,
        "Clients that may switch one thing can switch everything.",
        _writing("single/receivers/*"),
        staged=True,
    ),
    _row(
        "staged-granted",
        "an invalid PATCH of a Sender, with a token that may write to Senders",
        _WRITE,
        frozenset({400}),
        LESS,
        _writing("single/senders/*"),
        staged=True,
    ),
)
