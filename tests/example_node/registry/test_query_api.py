"""The Query API over HTTP: IS-04 v1.3 "APIs: Query Parameters"."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.example_node.registry.support import (
    COLLECTIONS,
    HOST,
    QUERY,
    TYPES,
    post,
    register_all,
    resource,
    uuid,
)
from tests.example_node.support import UNKNOWN, ManualClock, assert_error

LINK = re.compile(r'<([^>]*)>; rel="([a-z]*)"')


async def test_base_resources(client: httpx2.AsyncClient) -> None:
    """RAML: `/` lists what is below it, and /x-nmos both APIs."""
    assert (await client.get(QUERY)).json() == [
        f"{name}/" for name in (*COLLECTIONS, "subscriptions")
    ]
    assert (await client.get("/x-nmos")).json() == ["query/", "registration/"]


@pytest.mark.parametrize("kind", TYPES)
async def test_resources_are_shown_as_they_are_registered(
    client: httpx2.AsyncClient, kind: str
) -> None:
    """Listed and by themselves, with attributes that no schema names."""
    await register_all(client)
    await post(client, kind, vendor={"rack": 3})
    sent = resource(kind, vendor={"rack": 3})
    assert (await client.get(f"{QUERY}/{kind}s/")).json() == [sent]
    assert (await client.get(f"{QUERY}/{kind}s/{sent['id']}")).json() == sent


@pytest.mark.parametrize("path", [f"nodes/{UNKNOWN}", f"devices/{uuid(1)}", "node", "clocks/x"])
async def test_what_is_not_there(client: httpx2.AsyncClient, path: str) -> None:
    """404 for unknown resources and collections."""
    await register_all(client)
    assert_error(await client.get(f"{QUERY}/{path}"), 404)


async def test_it_is_read_only(client: httpx2.AsyncClient) -> None:
    """405 for what would change a resource."""
    for method in ("POST", "PUT", "DELETE"):
        assert_error(await client.request(method, f"{QUERY}/nodes"), 405)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("label=one", [1]),
        ("label=on", []),
        ("label=One", []),
        ("label=one&description=none", []),
        ("label=one&tags.place=London", [1]),
        ("tags.place=Salford", [1, 2]),
        ("tags.urn:x-nmos:tag:grouphint/v1.0=stage%20left", [2]),
        ("api.endpoints.port=8443", [1, 2]),
        ("api.endpoints.host=node.example.com", [1, 2]),
        ("clocks.traceable=true", [1, 2]),
        ("clocks.traceable=True", []),
        ("interfaces.chassis_id=null", [1, 2]),
        ("api=x", []),
        ("nothing=x", []),
        ("=", []),
        (".=", []),
        ("tags..place=London", []),
        ("query.downgrade=v1.0", [1, 2]),
        ("query.rql=eq(label,one)", [1]),
        ("query.rql=eq%28label%2Cone%29", [1]),
        ("query%2Erql=eq(label,%6Fne)", [1]),
        ("query.rql=eq(tags.urn%3Ax-nmos%3Atag%3Agrouphint%2Fv1.0,stage%20left)", [2]),
        ("query.rql=matches(label,string:O,i)&paging.limit=10", [1, 2]),
        ("query.rql=in(tags.place,(London,Paris))&label=one", [1]),
        ("query.rql=eq(label,one)&label=two", []),
    ],
)
async def test_filters(client: httpx2.AsyncClient, query: str, found: list[int]) -> None:
    """Attributes, also within objects and arrays, are compared exactly; all have to match."""
    await post(client, "node", id=uuid(1), label="one", tags={"place": ["Salford", "London"]})
    hints = {"place": ["Salford"], "urn:x-nmos:tag:grouphint/v1.0": ["stage left"]}
    await post(client, "node", id=uuid(2), label="two", tags=hints)
    response = await client.get(f"{QUERY}/nodes?{query}")
    assert sorted(each["id"] for each in response.json()) == [uuid(each) for each in found]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("query.rql=gt(label,one)", 501),
        ("query.rql=eq(label,one", 400),
        ("query.rql=label=one", 400),
        ("query.rql=eq(label,one)&query.rql=eq(label,two)", 400),
        ("query.ancestry_id=x", 501),
        ("query.anything=x", 501),
        ("query.downgrade=v2.0", 400),
        ("query.downgrade=v1.4", 400),
        ("query.downgrade=x", 400),
        ("paging.limit=many", 400),
        ("paging.limit=-1", 400),
        ("paging.limit=%C2%B2", 400),
        ("paging.limit=" + "9" * 5000, 400),
        ("paging.since=1", 400),
        ("paging.until=1:x", 400),
        ("paging.order=random", 400),
        ("&".join(["label="] * 17), 400),
        ("paging.since=2:0&paging.until=1:0", 400),
    ],
)
async def test_what_is_not_understood(client: httpx2.AsyncClient, query: str, status: int) -> None:
    """501 for what is optional and not there, 400 for what is wrong."""
    assert_error(await client.get(f"{QUERY}/nodes?{query}"), status)


@pytest.fixture
async def twenty(client: httpx2.AsyncClient, clock: ManualClock) -> httpx2.AsyncClient:
    """A client of a Registry with Nodes 1 to 20, registered a second after one another."""
    for number in range(1, 21):
        await clock.advance("0:500000000")
        response = await post(client, "node", id=uuid(number), label=f"{number % 2}")
        assert response.status_code == 201
    return client


def at(number: int) -> str:
    """Return the time at which Node `number` was registered."""
    return f"{1000 + number // 2}:{500000000 if number % 2 else 0}"


@pytest.mark.parametrize(
    ("query", "numbers", "since", "until", "limit"),
    [
        # "APIs: Query Parameters", Examples 1 to 5
        ("paging.limit=10", range(11, 21), at(10), at(20), 10),
        ("paging.limit=5", range(16, 21), at(15), at(20), 5),
        (f"paging.since={at(4)}&paging.limit=10", range(5, 15), at(4), at(14), 10),
        (f"paging.until={at(16)}&paging.limit=10", range(7, 17), at(6), at(16), 10),
        (
            f"paging.since={at(4)}&paging.until={at(16)}&paging.limit=10",
            range(5, 15),
            at(4),
            at(14),
            10,
        ),
        # Edge cases, Examples 1 to 4
        (f"paging.until={at(0)}", [], "0:0", at(0), 100),
        (f"paging.since={at(20)}", [], at(20), at(20), 100),
        (f"paging.since={at(30)}", [], at(30), at(30), 100),
        (f"id={uuid(15)}", [15], "0:0", at(20), 100),
        (f"id={UNKNOWN}", [], "0:0", at(20), 100),
        # Filters come before paging, and the bounds are those of what passes them
        ("label=1&paging.limit=3", [15, 17, 19], at(13), at(20), 3),
        (f"label=1&paging.limit=3&paging.until={at(13)}", [9, 11, 13], at(7), at(13), 3),
        (f"label=1&paging.limit=3&paging.since={at(9)}", [11, 13, 15], at(9), at(15), 3),
        # No resources at all
        (f"paging.since={at(9)}&paging.limit=0", [], at(9), at(9), 0),
        (f"paging.until={at(9)}&paging.limit=0", [], at(9), at(9), 0),
        ("paging.limit=0", [], at(20), at(20), 0),
        # More than is given
        ("paging.limit=5000", range(1, 21), "0:0", at(20), 1000),
    ],
)
async def test_pages(
    twenty: httpx2.AsyncClient,
    query: str,
    numbers: range | list[int],
    since: str,
    until: str,
    limit: int,
) -> None:
    """The examples of the specification, with their headers."""
    response = await twenty.get(f"{QUERY}/nodes?{query}")
    assert [each["id"] for each in response.json()] == [uuid(each) for each in numbers][::-1]
    assert response.headers["x-paging-since"] == since
    assert response.headers["x-paging-until"] == until
    assert response.headers["x-paging-limit"] == str(limit)
    links = {name: url for url, name in LINK.findall(response.headers["link"])}
    for name, expected in (
        ("next", {"paging.since": [until]}),
        ("prev", {"paging.until": [since]}),
        ("first", {"paging.since": ["0:0"]}),
        ("last", dict[str, list[str]]()),
    ):
        url = urlsplit(links[name])
        kept = {key: value for key, value in parse_qs(query).items() if "paging" not in key}
        assert f"{url.scheme}://{url.netloc}{url.path}" == f"https://{HOST}:8444{QUERY}/nodes"
        assert parse_qs(url.query) == {**kept, "paging.limit": [str(limit)], **expected}


async def test_links_lead_through_everything(twenty: httpx2.AsyncClient) -> None:
    """From `first` by `next`, each resource comes once; the same backwards from the end."""
    for start, step in (("first", "next"), ("last", "prev")):
        seen: list[Any] = []
        response = await twenty.get(f"{QUERY}/nodes?paging.limit=7")
        links = {name: url for url, name in LINK.findall(response.headers["link"])}
        url = links[start]
        while page := (response := await twenty.get(url)).json():
            seen += page if step == "prev" else page[::-1]
            url = {name: url for url, name in LINK.findall(response.headers["link"])}[step]
        expected = [uuid(number) for number in range(1, 21)]
        assert [each["id"] for each in seen] == (expected if step == "next" else expected[::-1])


async def test_an_update_moves_a_resource_to_the_end(twenty: httpx2.AsyncClient) -> None:
    """But not where the order is that of creation."""
    await post(twenty, "node", id=uuid(3))
    (latest,) = (await twenty.get(f"{QUERY}/nodes?paging.limit=1")).json()
    assert latest["id"] == uuid(3)
    response = await twenty.get(f"{QUERY}/nodes?paging.limit=1&paging.order=create")
    assert response.json()[0]["id"] == uuid(20)
    assert "paging.order=create" in response.headers["link"]


async def test_links_keep_filters_escaped(client: httpx2.AsyncClient) -> None:
    """No parameter breaks out of the header or of the URL."""
    label = 'a&b,c>;d"e\r\nf'
    response = await client.get(f"{QUERY}/nodes", params={"label": label})
    links = LINK.findall(response.headers["link"])
    assert [name for _, name in links] == ["next", "prev", "first", "last"]
    for url, _ in links:
        assert parse_qs(urlsplit(url).query)["label"] == [label]


async def test_links_keep_rql(twenty: httpx2.AsyncClient) -> None:
    """Whatever is in it, the next page is one of the same query."""
    label = "1"
    await post(twenty, "node", id=uuid(21), label='a,b)&c "%2C"')
    await post(twenty, "node", id=uuid(22), label='a,b)&c "%2C"')
    for rql, numbers in (
        (f"eq(label,{label})", range(19, 0, -2)),
        ("eq(label,string:a%2Cb%29%26c%20%22%252C%22)", [22, 21]),
    ):
        url, seen = f"{QUERY}/nodes?query.rql={rql}&paging.limit=1", []
        while page := (response := await twenty.get(url)).json():
            assert response.status_code == 200, (url, response.text)
            seen += [each["id"] for each in page]
            url = {name: url for url, name in LINK.findall(response.headers["link"])}["prev"]
        assert seen == [uuid(number) for number in numbers]


async def test_times_of_records_differ(client: httpx2.AsyncClient) -> None:
    """While the clock stands still, pages can still be told apart."""
    for number in range(5):
        await post(client, "node", id=uuid(number))
    response = await client.get(f"{QUERY}/nodes?paging.limit=2")
    assert [each["id"] for each in response.json()] == [uuid(4), uuid(3)]
    since = response.headers["x-paging-since"]
    response = await client.get(f"{QUERY}/nodes?paging.until={since}")
    assert [each["id"] for each in response.json()] == [uuid(2), uuid(1), uuid(0)]
