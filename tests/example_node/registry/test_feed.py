"""What a WebSocket is told adds up to what is registered, however seldom it is told."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_node.registry.feed import Feed
from example_node.registry.models import Subscription
from example_node.registry.paths import Data
from example_node.registry.registry import Registry
from tests.example_node.registry.support import uuid
from tests.example_node.support import ManualClock

NUMBERS = st.integers(0, 3)
LABELS = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.tuples(st.just("register"), NUMBERS, LABELS)
    | st.tuples(st.just("remove"), NUMBERS, LABELS)
    | st.tuples(st.just("read"), NUMBERS, LABELS),
    max_size=30,
)


def subscription(params: Mapping[str, str]) -> Subscription:
    """Return a subscription to Nodes."""
    return Subscription(
        id=uuid(99),
        ws_href="wss://registry.example.com/ws/1",
        resource_path="/nodes",
        params=dict(params),
        persist=False,
        max_update_rate_ms=0,
        secure=True,
        authorization=True,
    )


class Reader:
    """One who puts together what is told."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.told: dict[str, Data] = {}
        while feed.has_news:
            for key, (before, after) in feed.news().items():
                assert before is after
                assert after is not None
                self.told[key] = after

    def read(self) -> None:
        """Read what there is; what was before has to be what was told."""
        while self._feed.has_news:
            for key, (before, after) in self._feed.news().items():
                assert before == self.told.pop(key, None)
                assert (before, after) != (None, None)
                if after is not None:
                    self.told[key] = after


@pytest.mark.parametrize("params", [{}, {"label": "a"}])
@given(earlier=st.lists(st.tuples(NUMBERS, LABELS)), steps=STEPS)
def test_what_is_told_adds_up(
    params: dict[str, str], earlier: list[tuple[int, str]], steps: list[tuple[str, int, str]]
) -> None:
    """Whatever happens and whenever it is read, each change follows from those before it."""
    registry = Registry(ManualClock(), 12)
    for number, label in earlier:
        registry.register("nodes", {"id": uuid(number), "label": label})
    feed = Feed(registry, subscription(params), uuid(98))
    registry.follow(feed.take)
    reader = Reader(feed)
    assert reader.told == expected(registry, params)
    for step, number, label in steps:
        if step == "register":
            registry.register("nodes", {"id": uuid(number), "label": label})
            registry.register("devices", {"id": uuid(50), "node_id": uuid(number)})
        elif step == "remove":
            registry.remove("nodes", uuid(number))
        else:
            reader.read()
            assert reader.told == expected(registry, params)
    reader.read()
    assert reader.told == expected(registry, params)


def expected(registry: Registry, params: Mapping[str, str]) -> dict[str, Data]:
    """Return what the Query API shows."""
    shown = {key: record.data for key, record in registry["nodes"].items()}
    wanted = params.get("label")
    return {key: data for key, data in shown.items() if wanted in {None, data["label"]}}
