"""Keys that change under load, and floods of tokens of unknown keys."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

from tests.support.authority import FakeAuthorizationServer
from tests.support.scene import SELF, MakeSettings, Node, foreign_token, http_client, protected
from tests.support.tokens import claims_of, signing_key

METADATA = "/.well-known/oauth-authorization-server"


@contextlib.contextmanager
def load(node: Node, *tokens: Callable[[], str]) -> Iterator[Counter[int]]:
    """Keep sending tokens, each kind on a connection of its own, until the block ends.

    Yields the list of statuses that were answered so far.
    """
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def send(token: Callable[[], str]) -> None:
        with http_client(str(node.base_url)) as client:
            while not over.is_set():
                response = client.get(SELF, headers={"authorization": f"Bearer {token()}"})
                statuses[response.status_code] += 1

    threads = [threading.Thread(target=send, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_rotation_under_load_refuses_no_known_key(
    authority: FakeAuthorizationServer, quick_settings: MakeSettings
) -> None:
    """Six rotations while tokens, seen before and new, come without pause: all of them good."""
    with protected(quick_settings(authority)) as node:
        node.until(authority.token)
        in_use = authority.keys[0]
        seen = authority.token()

        def new() -> str:
            return in_use.sign(claims_of(authority.issuer))

        def known() -> str:
            return seen

        with load(node, new, known, known) as statuses:
            for number in range(1, 7):
                following = signing_key(number % 3)
                authority.keys.append(following)
                token = following.sign(claims_of(authority.issuer))
                node.until(lambda token=token: token)  # type: ignore[misc]
                in_use, seen = following, token
                old = authority.keys[0]
                withdrawn = old.sign(claims_of(authority.issuer))
                # Tokens of the old key may be under way still; twenty answers later none is.
                enough = sum(statuses.values()) + 20
                while sum(statuses.values()) < enough:
                    assert node.status(token) == 200
                del authority.keys[0]
                node.until(lambda withdrawn=withdrawn: withdrawn, 401)  # type: ignore[misc]
        assert statuses.keys() == {200}
        assert statuses[200] > 200


def test_withdrawal_reaches_tokens_seen_before(
    authority: FakeAuthorizationServer, quick_settings: MakeSettings
) -> None:
    """After the refresh the withdrawn key's tokens are refused; the others' stay good."""
    authority.keys.append(signing_key(1))
    with protected(quick_settings(authority)) as node:
        gone = [authority.token() for _ in range(5)]
        kept = [signing_key(1).sign(claims_of(authority.issuer)) for _ in range(5)]
        node.until(lambda: gone[0])
        assert [node.status(token) for token in gone + kept] == [200] * 10
        del authority.keys[0]

        def new() -> str:
            return signing_key(1).sign(claims_of(authority.issuer))

        with load(node, lambda: kept[0], new) as statuses:
            for token in gone:
                node.until(lambda token=token: token, 401)  # type: ignore[misc]
        assert statuses.keys() == {200}
        assert [node.status(token) for token in kept] == [200] * 5


def test_a_key_that_comes_back_counts_again(
    authority: FakeAuthorizationServer, quick_settings: MakeSettings
) -> None:
    """A server that was restored from a backup, say."""
    first = authority.keys[0]
    with protected(quick_settings(authority)) as node:
        token = authority.token()
        for _ in range(2):
            authority.keys[:] = [first]
            node.until(lambda: token)
            authority.keys[:] = [signing_key(1)]
            node.until(lambda: token, 401)


def test_a_flood_of_unknown_keys(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """At the server it is a burst of three; known tokens, cached and not, stay good."""
    with protected(make_settings(authority)) as node:
        cached = authority.token()
        node.until(lambda: cached)
        numbers = itertools.count()
        wrong = signing_key(9)
        before, began = authority.count(METADATA), time.monotonic()

        def unknown() -> str:
            return wrong.sign(claims_of(authority.issuer), {"kid": f"kid-{next(numbers)}"})

        with (
            load(node, unknown, unknown) as flood,
            load(node, authority.token, lambda: cached) as good,
        ):
            authority.wait_for_requests(before + 3, METADATA)
            enough = sum(flood.values()) + 300
            while sum(flood.values()) < enough:
                assert node.status(cached) == 200
        assert good.keys() == {200}
        assert flood.keys() <= {401, 503}
        # One more for every REFETCH_INTERVAL that a busy machine takes for this.
        spent = time.monotonic() - began
        assert before + 3 <= authority.count(METADATA) <= before + 3 + spent / 10


def test_a_flood_does_not_keep_a_new_key_out(
    authority: FakeAuthorizationServer, make_settings: MakeSettings
) -> None:
    """Whoever spends the fetches, each brings all of the issuer's keys."""
    with protected(make_settings(authority, refetch_interval=0.5)) as node:
        node.until(authority.token)
        with load(node, lambda: foreign_token(authority)):
            for number in (1, 2):
                authority.keys.insert(0, signing_key(number))
                node.until(authority.token, within=5)
