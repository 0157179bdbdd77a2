"""RQL as IS-04 has it and Controllers send it: "APIs: Query Parameters", Advanced (RQL) Queries."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_node.errors import BadRequestError, NotProvidedError
from example_node.registry.rql import of_parameter, parse
from example_node.registry.rql.expressions import MOST_CONDITIONS
from example_node.registry.rql.syntax import DEEPEST, LONGEST
from tests.example_node.registry.support import uuid

RESOURCES: dict[str, dict[str, Any]] = {
    "video": {
        "id": uuid(1),
        "label": "Camera 1",
        "format": "urn:x-nmos:format:video",
        "tags": {"location": ["Salford", "London"], "urn:x-nmos:tag:grouphint/v1.0": ["left, up"]},
        "grain_rate": {"numerator": 30000, "denominator": 1001},
        "frame_width": 1920,
        "clock_name": "clk0",
        "caps": {},
    },
    "audio": {
        "id": uuid(2),
        "label": "5",
        "format": "urn:x-nmos:format:audio",
        "tags": {"location": ["Paris"]},
        "grain_rate": {"numerator": 48000},
        "channels": [{"label": "left", "symbol": "L"}, {"label": "right", "symbol": "R"}],
        "clock_name": None,
        "active": True,
        "bit_depth": 24.0,
    },
    "data": {
        "id": uuid(3),
        "label": "Überwachung (2)",
        "format": "urn:x-nmos:format:data",
        "tags": {},
        "event_type": "number/temperature/C",
        "active": False,
    },
}
VIDEO, AUDIO, DATA = ["video"], ["audio"], ["data"]


def found(query: str) -> list[str]:
    """Return the resources that a query finds."""
    expression = parse(of_parameter(query))
    return [name for name, data in RESOURCES.items() if expression.matches(data)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        # The specification's own examples
        ("eq(format,urn%3Ax-nmos%3Aformat%3Avideo)", VIDEO),
        ("and(eq(format,urn%3Ax-nmos%3Aformat%3Avideo),in(tags.location,(Salford,London)))", VIDEO),
        # Paths go into objects and arrays; the names of tags have dots of their own
        ("eq(tags.location,London)", VIDEO),
        ("eq(channels.symbol,R)", AUDIO),
        ("eq(tags.urn%3Ax-nmos%3Atag%3Agrouphint%2Fv1.0,left%2C%20up)", VIDEO),
        ("eq((tags,urn%3Ax-nmos%3Atag%3Agrouphint%2Fv1.0),left%2C%20up)", VIDEO),
        ("eq(channels,left)", []),
        ("eq(nothing.at.all,x)", []),
        # Values, with types and without
        ("eq(label,5)", AUDIO),
        ("eq(label,string:5)", AUDIO),
        ("eq(label,number:5)", []),
        ("eq(frame_width,1920)", VIDEO),
        ("eq(frame_width,1920.0)", VIDEO),
        ("eq(frame_width,number:1920)", VIDEO),
        ("eq(frame_width,string:1920)", []),
        ("eq(bit_depth,24)", AUDIO),
        ("eq(active,true)", AUDIO),
        ("eq(active,boolean:false)", DATA),
        ("eq(active,string:true)", []),
        ("eq(active,1)", []),
        ("eq(grain_rate,rational:30000%2F1001)", VIDEO),
        ("eq(grain_rate,rational:96000%2F2)", AUDIO),
        ("eq(grain_rate.numerator,48000)", AUDIO),
        ("eq(clock_name,null)", ["audio", "data"]),
        ("eq(clock_name,string:null)", []),
        ("eq(caps,null)", ["audio", "data"]),
        ("eq(label,%C3%9Cberwachung%20%282%29)", DATA),
        ("eq(label,Camera%201)", VIDEO),
        ("eq(label,camera%201)", []),
        ("eq(label,)", []),
        # What many clients send, who escape too little or all of it
        ("eq(format,urn:x-nmos:format:video)", VIDEO),
        ("eq(label,Camera 1)", VIDEO),
        ("and( eq(label,Camera 1), not(eq(active,true)))", VIDEO),
        ("eq%28format%2Curn%253Ax-nmos%253Aformat%253Avideo%29", VIDEO),
        ("eq(label%2CCamera+1)", VIDEO),
        # ne, in, not, or
        ("ne(format,urn%3Ax-nmos%3Aformat%3Avideo)", ["audio", "data"]),
        ("ne(clock_name,clk0)", ["audio", "data"]),
        ("ne(tags.location,London)", ["audio", "data"]),
        ("in(label,(5,number:6,Camera%201))", ["video", "audio"]),
        ("in(label,(5))", AUDIO),
        ("in(clock_name,(clk1,null))", ["audio", "data"]),
        ("not(in(label,(5,Camera%201)))", DATA),
        ("or(eq(label,5),eq(active,false))", ["audio", "data"]),
        ("or(eq(label,5))", AUDIO),
        ("or(eq(id,x),or(eq(id,y),and(eq(active,true),ne(label,x))))", AUDIO),
        # matches, as browsers send it
        ("matches(label,string:camera,i)", VIDEO),
        ("matches(label,string:camera)", []),
        ("matches(format,string:urn%3Ax-nmos%3Aformat%3Aaudio,i)", AUDIO),
        ("matches(event_type,string:number%2Ftemperature%2F%2A,i)", DATA),
        ("matches(tags.location,lon,i)", VIDEO),
        ("matches(frame_width,19)", []),
        ("matches(label,string:%5ECam.%2A1%24)", VIDEO),
        (f"matches(id,string:{uuid(2)},i)", AUDIO),
        (f"or(eq(id,{uuid(2)}),eq(id,{uuid(3)}))", ["audio", "data"]),
    ],
)
def test_what_is_found(query: str, names: list[str]) -> None:
    """Each operator, path and type of value, in each way in which it is sent."""
    assert found(query) == names


@pytest.mark.parametrize(
    "query",
    [
        "gt(frame_width,1)",
        "le(frame_width,1)",
        "out(label,(a,b))",
        "select(label,id)",
        "sort(+label)",
        "limit(1,2)",
        "contains(tags.location,x)",
        "rel(flow_id,eq(label,x))",
        "and(eq(label,x),not(sub(components,eq(bit_depth,8))))",
        "eq(count(channels),2)",
        "eq(label,(a,b))",
        "in(label,((a),b))",
        "eq(components,sampling:YCbCr-4%3A2%3A2)",
        "eq(api.versions,api_version:v1.3)",
        "eq(label,re:x)",
        "matches(label,string:%28a%2B%29%2B)",
        "matches(label,a%7Cb)",
        "matches(label,x,g)",
        "matches(label,number:1)",
        "EQ(label,x)",
    ],
)
def test_what_is_not_supported(query: str) -> None:
    """501: "MUST be returned where an RQL query is attempted using" what is not."""
    with pytest.raises(NotProvidedError):
        parse(query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "label",
        "label=one",
        "(eq(a,b))",
        "(a,b)",
        "eq(a,b",
        "eq(a,b))",
        "eq(a,b)c",
        "eq(a,b)&eq(c,d)",
        "eq(a,b)|eq(c,d)",
        "eq(a)",
        "eq(a,b,c)",
        "eq(,b)",
        "eq((),b)",
        "not(eq(a,b),eq(a,b))",
        "not(a,b)",
        "and(a,b)",
        "in(a,b)",
        "matches(a,b,i,i)",
        "matches(a,%2A)",
        "eq(a,%)",
        "eq(a,%4)",
        "eq(a,%ZZ)",
        "eq(a,%FF)",
        "eq(%FF,a)",
        "eq(a,number:x)",
        "eq(a,number:1e999)",
        "eq(a,number:NaN)",
        "eq(a,boolean:1)",
        "eq(a,rational:1/0)",
        "eq(a,rational:x)",
        "eq(a,number:" + "9" * 5000 + ")",
        "not(" * (DEEPEST + 1) + "eq(a,b)" + ")" * (DEEPEST + 1),
        "and(" + ",".join(f"eq(a{n},b)" for n in range(MOST_CONDITIONS + 1)) + ")",
        "(" * 10_000,
        "eq(a," + "b" * LONGEST + ")",
    ],
)
def test_what_is_wrong(query: str) -> None:
    """400, also for what is too complex."""
    with pytest.raises(BadRequestError):
        parse(query)


def test_hundreds_of_ids_are_one_condition() -> None:
    """A Controller asks for what a list names in one query."""
    ids = ",".join(f"eq(id,{uuid(number)})" for number in range(3, 500))
    assert found(f"or({ids})") == DATA
    assert found("not(or(" + ids + "))") == ["video", "audio"]


LEAVES = st.sampled_from(["eq(a,1)", "eq(b,x)", "ne(a,1)", "in(b,(x,y))", "matches(b,y)"])
MEANING: dict[str, Callable[[dict[str, Any]], bool]] = {
    "eq(a,1)": lambda data: data["a"] == 1,
    "eq(b,x)": lambda data: data["b"] == "x",
    "ne(a,1)": lambda data: data["a"] != 1,
    "in(b,(x,y))": lambda data: data["b"] in ("x", "y"),
    "matches(b,y)": lambda data: "y" in str(data["b"]),
}
Tree = str | tuple[str, list[Any]]
TREES: st.SearchStrategy[Tree] = st.recursive(
    LEAVES,
    lambda inner: (
        st.tuples(st.just("not"), st.lists(inner, min_size=1, max_size=1))
        | st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=12,
)
DATA_OF_TREES = [{"a": a, "b": b} for a in (1, 2) for b in ("x", "y", "xy")]


def written(tree: Tree) -> str:
    """Write a tree as RQL."""
    if isinstance(tree, str):
        return tree
    name, inner = tree
    return f"{name}({','.join(written(each) for each in inner)})"


def holds(tree: Tree, data: dict[str, Any]) -> bool:
    """Work out what a tree means."""
    if isinstance(tree, str):
        return MEANING[tree](data)
    name, inner = tree
    outcomes = [holds(each, data) for each in inner]
    return {"not": not outcomes[0], "and": all(outcomes), "or": any(outcomes)}[name]


def depth(tree: Tree) -> int:
    """Count how deep a tree is."""
    return 1 if isinstance(tree, str) else 1 + max(depth(each) for each in tree[1])


@given(TREES.filter(lambda tree: depth(tree) < DEEPEST - 2))
def test_operators_combine(tree: Tree) -> None:
    """However they are nested, and whether the parameter is escaped as a whole or not."""
    text = written(tree)
    for query in (text, quote(text, safe=""), quote_plus(text), quote(text, safe="()")):
        expression = parse(of_parameter(query))
        for data in DATA_OF_TREES:
            assert expression.matches(data) is holds(tree, data)


@given(st.text("eqn(),:%()a1 ", max_size=20) | st.text(max_size=10))
def test_anything_is_a_query_or_is_refused(text: str) -> None:
    """And nothing else happens."""
    try:
        expression = parse(text)
    except (BadRequestError, NotProvidedError):
        return
    expression.matches(RESOURCES["video"])


@given(st.text(max_size=20).filter(lambda text: text == text.strip()))
def test_every_text_can_be_asked_for(text: str) -> None:
    """Escaped, with its type."""
    escaped = quote(text.encode("utf-8", "surrogatepass"), safe="")
    if any("\ud800" <= each <= "\udfff" for each in text):
        return
    assert parse(f"eq(label,string:{escaped})").matches({"label": text})
    assert parse(f"eq(label,{escaped})").matches({"label": text})
    assert not parse(f"ne(label,{escaped})").matches({"label": text})
