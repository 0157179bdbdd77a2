"""Which of several registries is used."""

import itertools

import pytest

from example_node.registration.failover import FailOver

A, B, C = "https://a.example.com", "https://b.example.com", "https://c.example.com"


def longest(_: float, high: float) -> float:
    """Draw the highest number."""
    return high


@pytest.fixture
def fail_over() -> FailOver:
    """One whose draws are known."""
    return FailOver(longest)


def test_the_most_preferred_is_used(fail_over: FailOver) -> None:
    """IS-04 "Discovery: Registered Operation": "based on the priority"."""
    assert fail_over.choose([A, B, C], 0.0) == A
    assert fail_over.choose([], 0.0) is None
    assert fail_over.resumes_at([A, B]) is None


def test_one_after_another(fail_over: FailOver) -> None:
    """The next "from the discovered list" (IS-04 "Discovery: Registered Operation")."""
    for url, following in itertools.pairwise([A, B, C]):
        fail_over.failed(url, [A, B, C], 0.0)
        assert fail_over.choose([A, B, C], 0.0) == following


def test_one_that_failed_is_used_again_after_a_minute(fail_over: FailOver) -> None:
    """By those who need another then."""
    fail_over.failed(A, [A, B], 0.0)
    assert fail_over.choose([A, B], 59.9) == B
    assert fail_over.choose([A, B], 60.0) == A


def test_when_all_fail_it_backs_off_exponentially(fail_over: FailOver) -> None:
    """From a second to the five of the heartbeat interval."""
    known, now, pauses = [A, B], 0.0, []
    for _ in range(6):
        fail_over.failed(A, known, now)
        assert fail_over.choose(known, now) == B
        fail_over.failed(B, known, now)
        assert fail_over.choose(known, now) is None
        resumes_at = fail_over.resumes_at(known)
        assert resumes_at is not None
        pauses.append(resumes_at - now)
        now = resumes_at
        assert fail_over.choose(known, now) == A
    assert pauses == [1, 2, 4, 5, 5, 5]
    fail_over.settled()
    fail_over.failed(A, [A], now)
    assert fail_over.resumes_at([A]) == now + 1


def test_where_it_is_denied_it_backs_off_further(fail_over: FailOver) -> None:
    """The same token will not do the next time either; a registry that forgets by then may."""
    now, pauses = 0.0, []
    for _ in range(9):
        fail_over.failed(A, [A], now, denied=True)
        resumes_at = fail_over.resumes_at([A])
        assert resumes_at is not None
        pauses.append(resumes_at - now)
        now = resumes_at
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 120, 120]


@pytest.mark.parametrize("denied", [False, True])
def test_while_registries_hold_the_node_it_hurries(fail_over: FailOver, *, denied: bool) -> None:
    """Several attempts fit between a heartbeat that fails and the twelfth second.

    What follows is a denial's first pause, or an outage's longest.
    """
    now, attempts = 5.0, []
    while now < 12.0:
        attempts.append(now)
        fail_over.failed(A, [A], now, denied=denied, held_until=12.0)
        resumes_at = fail_over.resumes_at([A])
        assert resumes_at is not None
        now = resumes_at
    assert attempts == [5, 5.5, 6.5, 8, 9.5, 11]
    fail_over.failed(A, [A], now, denied=denied, held_until=12.0)
    resumes_at = fail_over.resumes_at([A])
    assert resumes_at is not None
    assert resumes_at - now == (1 if denied else 5)


def test_a_denial_after_an_outage_is_the_first(fail_over: FailOver) -> None:
    """A registry that has just started may deny a token while it has no keys."""
    for _ in range(8):
        fail_over.failed(A, [A], 0.0)
    fail_over.failed(A, [A], 100.0, denied=True)
    assert fail_over.resumes_at([A]) == 101


def test_nodes_do_not_come_back_at_once() -> None:
    """Each waits for a random part of the time."""
    resumptions = set()
    for _ in range(20):
        fail_over = FailOver()
        fail_over.failed(A, [A], 0.0)
        resumptions.add(fail_over.resumes_at([A]))
    assert len(resumptions) == 20
    assert all(each is not None and 0.5 <= each <= 1 for each in resumptions)


def test_a_new_registry_is_used_at_once(fail_over: FailOver) -> None:
    """Back-off is from those that failed."""
    fail_over.failed(A, [A], 0.0)
    assert fail_over.choose([A], 0.0) is None
    assert fail_over.choose([A, B], 0.0) == B


def test_one_that_is_no_longer_known(fail_over: FailOver) -> None:
    """It failed because it went: there is nothing to wait for but another."""
    fail_over.failed(A, [], 0.0)
    assert fail_over.choose([], 0.0) is None
    assert fail_over.resumes_at([]) is None
