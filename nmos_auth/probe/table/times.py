"""When a token is valid."""

from __future__ import annotations

from nmos_auth.probe.rows import Force, Maker, Row, Source, Suite, is_10, rfc
from nmos_auth.probe.table.claims import with_number
from nmos_auth.probe.table.statuses import INVALID, PERMITTED
from nmos_auth.probe.table.tokens import claims

__all__ = ["TIMES"]

_TOKENS = "Behaviour: Access Tokens"
_EXP = is_10(f"{_TOKENS}, exp", "a token is rejected once `exp` is less than the time")
_IAT = is_10(f"{_TOKENS}, iat", "a token is rejected while `iat` is greater than the time")
_NBF = is_10(f"{_TOKENS}, nbf", "a token is not accepted before `nbf`")
_OLD = "Tokens that have expired or are not valid yet open the API."
_ENDLESS = "Tokens never expire."
_OPTIONAL = "Tokens with an optional claim, or without it, are refused."
_NUMBERS = {
    name: rfc(7519, section, f"`{name}` is a number")
    for name, section in (("exp", "4.1.4"), ("nbf", "4.1.5"), ("iat", "4.1.6"))
}


def _in(seconds: float, *names: str) -> Maker:
    return lambda mint: mint.token(**{name: int(mint.now() + seconds) for name in names})


def _refused(name: str, title: str, source: Source, token: Maker, meaning: str = _OLD) -> Row:
    return Row(
        f"times-{name}",
        Suite.TIMES,
        title,
        source,
        INVALID,
        meaning,
        warns=frozenset({400, 403}),
        token=token,
        forged=True,
    )


def _accepted(name: str, title: str, source: Source, token: Maker) -> Row:
    return Row(f"times-{name}", Suite.TIMES, title, source, PERMITTED, _OPTIONAL, token=token)


TIMES = (
    *(
        _refused(f"expired-{name}", f"expired {title} ago", _EXP, _in(-seconds, "exp"))
        for name, title, seconds in (
            ("hour", "an hour", 3600),
            ("minute", "a minute", 60),
            ("moment", "five seconds", 5),
        )
    ),
    _refused("exp-zero", "`exp` 0", _EXP, claims(exp=0), _ENDLESS),
    _refused("exp-negative", "`exp` below 0", _EXP, claims(exp=-2_000_000_000), _ENDLESS),
    *(
        _refused(f"{claim}-{name}", f"`{claim}` {title}", source, claims(**{claim: value}), meaning)
        for claim, source in _NUMBERS.items()
        for meaning in [_ENDLESS if claim == "exp" else _OLD]
        for name, title, value in (
            ("text", "as a text, long past", "1500000000"),
            ("true", "as true", True),
            ("list", "as a list", [1500000000]),
        )
    ),
    _refused(
        "exp-text-ahead",
        "`exp` as a text, and far ahead",
        _NUMBERS["exp"],
        lambda mint: mint.token(exp=str(int(mint.now() + 300))),
        _ENDLESS,
    ),
    _refused("exp-date", "`exp` as a date", _NUMBERS["exp"], claims(exp="2099-01-01"), _ENDLESS),
    _refused(
        "exp-infinite",
        "`exp` larger than any float",
        _NUMBERS["exp"],
        lambda mint: mint.signed(with_number(mint.claims(exp=None), "exp", "1e400")),
        _ENDLESS,
    ),
    _refused("future-iat", "issued in an hour", _IAT, _in(3600, "iat")),
    _refused("future-iat-minute", "issued in a minute", _IAT, _in(60, "iat")),
    _refused("future-nbf", "not valid for another hour", _NBF, _in(3600, "nbf")),
    _refused("future-nbf-minute", "not valid for another minute", _NBF, _in(60, "nbf")),
    _refused(
        "tai",
        "issued now by a clock of TAI, which is 37 seconds ahead",
        is_10(f"{_TOKENS}, exp", "times are UTC and not TAI", Force.STATED),
        _in(37, "iat"),
    ),
    _accepted(
        "no-iat",
        "no `iat`",
        is_10(f"{_TOKENS}, iat", "`iat` may be left out", Force.STATED),
        claims(iat=None),
    ),
    _accepted(
        "past-nbf",
        "valid since an hour ago",
        is_10(f"{_TOKENS}, nbf", "a token is accepted from `nbf` on"),
        _in(-3600, "nbf"),
    ),
    _accepted(
        "fraction",
        "`exp` with a fraction",
        rfc(7519, "2", "a NumericDate may have a fraction", Force.STATED),
        lambda mint: mint.token(exp=int(mint.now()) + 60.25),
    ),
)
