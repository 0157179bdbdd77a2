"""The page of reasons, and that the log says something exact about each refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from nmos_auth.audit.reasons import EXPLANATIONS, detail_of, page
from nmos_auth.errors import (
    AuthorizationError,
    Detail,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    MalformedTarget,
    MissingCredentials,
    OwnersUnavailable,
    Reason,
    UnfitResource,
)

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
STATUSES = {
    each.status
    for each in (
        InsufficientScope,
        InvalidRequest,
        InvalidToken,
        KeysUnavailable,
        MalformedTarget,
        MissingCredentials,
        OwnersUnavailable,
        UnfitResource,
    )
}


def test_the_page_is_what_the_table_says() -> None:
    """Written by `python -c 'from nmos_auth.audit.reasons import page; print(page(), end="")'`."""
    assert PAGE.read_text() == page()


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_explained(reason: Reason) -> None:
    """With a cure where a request is refused, in whole sentences."""
    explanation = EXPLANATIONS[reason]
    assert explanation.meaning.endswith(".")
    if explanation.status in STATUSES:
        assert explanation.cure.endswith(".")
    assert f"## {reason}" in page()


def test_an_error_without_a_detail_says_what_its_reason_means() -> None:
    """A handler's own refusal, for instance."""
    error: AuthorizationError = InsufficientScope()
    assert str(detail_of(error)) == EXPLANATIONS[Reason.HANDLER].meaning
    exact = Detail.of("exp was {} s ago", 2.5)
    assert detail_of(InvalidToken(Reason.EXPIRED, detail=exact)) is exact


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        (Detail.of("nothing to add"), "nothing to add"),
        (Detail.of("{} and {}", "a", None), "'a' and absent"),
        (Detail.of("{} s", 12.0), "12 s"),
        (Detail.of("{}", 1800000000), "1800000000"),
        (Detail.of("aud is {}", ()), "aud is nothing"),
        (Detail.of("aud is {}", ("a", "b{}")), "aud is 'a', 'b{}'"),
        (Detail.of("aud is {}", ("a",) * 11), "aud is " + ", ".join(["'a'"] * 8) + " and 3 more"),
        (Detail.of("{}", "x" * 101), "'" + "x" * 100 + "…'"),
        (Detail.of("{}", "line\nbreak"), r"'line\nbreak'"),
    ],
)
def test_a_detail_is_words_and_values(detail: Detail, text: str) -> None:
    """Values are quoted, cut and counted, and none is read as words."""
    assert str(detail) == text


def test_a_detail_keeps_no_more_than_it_shows() -> None:
    """Many wait for a disk at once."""
    detail = Detail.of("{} {}", "x" * 10_000, ("y" * 10_000,) * 1_000)
    assert len(repr(detail)) < 1_200
