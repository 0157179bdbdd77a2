"""What is kept over restarts, and when it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from nmos_auth.trust.keeping import Keeper, named_before
from nmos_auth.trust.keys_file import KeptIssuer, KeptKeys
from tests.support.virtual_time import in_virtual_time

A, B = "https://a.example.com", "https://b.example.com"
PLACE = f"{A}/.well-known/oauth-authorization-server"


class Storage:
    """Keeps keys in memory, where it can be written."""

    def __init__(self, content: KeptKeys) -> None:
        self.content = dict(content)
        self.writable = True
        self.saves = 0

    def load(self) -> KeptKeys:
        """Read."""
        return dict(self.content)

    def save(self, kept: KeptKeys) -> bool:
        """Write."""
        self.saves += 1
        if self.writable:
            self.content = dict(kept)
        return self.writable


async def slowly(save: Callable[[KeptKeys], bool], kept: KeptKeys) -> bool:
    """Write after a while, as a disk does."""
    await asyncio.sleep(1)
    return save(kept)


def held(*urls: str, confirmed: float = 5.0) -> Callable[[], KeptKeys]:
    """Return what tells that these are held."""
    return lambda: {url: KeptIssuer((), confirmed) for url in urls}


@in_virtual_time
async def test_nothing_is_written_where_nothing_has_changed() -> None:
    """Nor where there is nowhere to write to."""
    storage = Storage({A: KeptIssuer((), 1000.0)})
    keeper = Keeper(storage, slowly)
    keeper.save_soon(held(A))
    keeper.confirmed(A, 1059.0)
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert storage.saves == 0
    keeper.confirmed(A, 1060.0)
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert storage.saves == 1
    nowhere = Keeper(None, slowly)
    nowhere.changed()
    nowhere.save_soon(held(A))
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await nowhere.stop()


@in_virtual_time
async def test_a_mishap_while_saving_does_not_keep_anybody_from_stopping() -> None:
    """What was to be saved is fetched again after the restart."""

    async def mishap(save: Callable[[KeptKeys], bool], kept: KeptKeys) -> bool:
        raise RuntimeError(f"{save} {kept}")

    keeper = Keeper(Storage({}), mishap)
    keeper.changed()
    keeper.save_soon(held(A))
    await keeper.stop()


@in_virtual_time
async def test_what_changes_while_it_is_written_is_written_next() -> None:
    """One write at a time, and none is lost."""
    storage = Storage({})
    keeper = Keeper(storage, slowly)
    urls = [A]

    def now_held() -> KeptKeys:
        return held(*urls)()

    keeper.changed()
    keeper.save_soon(now_held)
    await asyncio.sleep(0.5)
    urls.append(B)
    for _ in range(3):
        keeper.changed()
        keeper.save_soon(now_held)
    await asyncio.sleep(1)
    assert set(storage.content) == {A}
    await asyncio.sleep(1)
    assert set(storage.content) == {A, B}
    assert storage.saves == 2


@in_virtual_time
async def test_a_write_that_fails_is_made_again_with_the_next_fetch() -> None:
    """And not before, for a disk that is full stays so for a while."""
    storage = Storage({})
    storage.writable = False
    keeper = Keeper(storage, slowly)
    keeper.changed()
    keeper.save_soon(held(A))
    await asyncio.sleep(100)
    assert storage.saves == 1
    storage.writable = True
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert set(storage.content) == {A}


@in_virtual_time
async def test_what_nobody_has_taken_is_kept_until_it_is_known_who_is_trusted() -> None:
    """A save before DNS has answered loses nothing; one after it forgets."""
    storage = Storage({A: KeptIssuer((), 1.0), B: KeptIssuer((), 2.0)})
    keeper = Keeper(storage, slowly)
    assert set(keeper.waiting) == {A, B}
    assert keeper.take(A) == KeptIssuer((), 1.0)
    assert keeper.take(A) is None
    keeper.changed()
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert storage.content == {A: KeptIssuer((), 5.0), B: KeptIssuer((), 2.0)}
    keeper.settle()
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert set(storage.content) == {A}
    keeper.settle()
    keeper.save_soon(held(A))
    await asyncio.sleep(2)
    assert storage.saves == 2


@in_virtual_time
async def test_stopping_waits_for_what_is_being_written() -> None:
    """A file is not cut off; and another loop may begin."""
    storage = Storage({})
    keeper = Keeper(storage, slowly)
    keeper.changed()
    keeper.save_soon(held(A))
    await asyncio.sleep(0)
    await keeper.stop()
    assert set(storage.content) == {A}
    assert asyncio.all_tasks() == {asyncio.current_task()}
    keeper.restart()
    keeper.changed()
    keeper.save_soon(held(A, B))
    await keeper.stop()
    assert set(storage.content) == {A, B}


@pytest.mark.parametrize(
    ("issuer", "named_at", "expected"),
    [
        (f"{A}/realm", [PLACE], True),
        (f"{A}:443/realm", [PLACE], True),
        (f"{A}/", [f"{B}/place", PLACE], True),
        (f"{A}/realm", [], False),
        (f"{A}/realm", [f"{PLACE}/realm"], False),
        # Metadata names only issuers of its very own origin.
        (f"{A}:8443/realm", [PLACE], False),
        (f"{B}/realm", [PLACE], False),
        ("http://a.example.com/realm", [PLACE], False),
        (f"{A}/../realm", [PLACE], False),
        ("realm", [PLACE], False),
    ],
)
def test_whom_a_place_named(issuer: str, named_at: list[str], *, expected: bool) -> None:
    """An issuer of its own origin, as in metadata, if the file says that this very place did."""
    kept = {"": KeptIssuer((), 0.0, (PLACE,)), issuer: KeptIssuer((), 0.0, tuple(named_at))}
    named = named_before(kept, PLACE, allow_http=True)
    assert (named is not None and named.text == issuer) is expected
    assert named_before(kept, f"{B}/place", allow_http=True) is None


def test_http_is_believed_only_in_development() -> None:
    """As everywhere else."""
    place = PLACE.replace("https", "http")
    kept = {"http://a.example.com/realm": KeptIssuer((), 0.0, (place,))}
    assert named_before(kept, place, allow_http=True) is not None
    assert named_before(kept, place, allow_http=False) is None
