"""From the source of a module to its mutants.

Texts for people, in logs and errors, are left alone, and so are decorators and types.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants_of"]

_Node = ast.AST

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_PAIRS = (
    ("min", "max"),
    ("any", "all"),
    ("floor", "ceil"),
    ("startswith", "endswith"),
    ("removeprefix", "removesuffix"),
    ("partition", "rpartition"),
    ("lower", "upper"),
    ("append", "remove"),
)
_OTHER_NAMES = dict([*_PAIRS, *((second, first) for first, second in _PAIRS)])
# Calls whose texts are for people: what they say is held by other tests, where it matters.
_SPEAKING = frozenset({"of", "plus", "Detail", "_refuse", "_refuse_claim"})
_NOT_CODE = frozenset({"annotation", "returns", "decorator_list"})


@dataclass(frozen=True)
class Mutant:
    """One small change.

    Attributes:
        line: where it is.
        function: the outermost function that it is in, as its code object has it: the name, and
            the line of the first decorator; None where it is in none.
        name: of that function, "" outside of any.
        before: the statement, or its first line.
        after: what the change makes of it.
        apply: makes the change in the tree that it was found in.
    """

    line: int
    function: tuple[str, int] | None
    name: str
    before: str
    after: str
    apply: Callable[[], None]

    @property
    def text(self) -> str:
        """The change in one line, the same as long as the code is."""
        return f"{self.statement} → {self.after}"

    @property
    def statement(self) -> str:
        """The statement that is changed, and the function that it is in."""
        return f"{self.name}: {self.before}"


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """Return the mutants of a module, always in the same order."""
    return list(_Finder().visit_body(tree))


@dataclass(frozen=True)
class _Place:
    parent: _Node
    field: str
    index: int | None

    def put(self, node: _Node | None) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


class _Finder:
    """Walks a tree, and yields a mutant for each change that can be made at a node."""

    def __init__(self) -> None:
        self._classes: list[str] = []
        self._function: tuple[str, int] | None = None
        self._name = ""
        self._statement: ast.stmt = ast.Pass()
        self._speaks = False

    def visit_body(self, node: _Node) -> Iterator[Mutant]:
        for place, child in _children(node):
            yield from self._visit(place, child)

    def _visit(self, place: _Place, node: _Node) -> Iterator[Mutant]:
        if _is_left_alone(node):
            return
        if self._speaks and isinstance(node, ast.Constant) and isinstance(node.value, str):
            return
        before = self._function, self._name, self._statement, self._speaks
        self._speaks |= _speaks(node)
        if isinstance(node, ast.stmt):
            self._statement = node
        if isinstance(node, ast.ClassDef):
            self._classes.append(node.name)
        for new in _changes(node):
            yield self._mutant(place, node, new)
        for child_place, child in _children(node):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if child_place.field == "body":
                    self._enter(node, before[0])
                else:
                    self._function, self._name = before[:2]
            yield from self._visit(child_place, child)
        if isinstance(node, ast.ClassDef):
            self._classes.pop()
        self._function, self._name, self._statement, self._speaks = before

    def _enter(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, outer: tuple[str, int] | None
    ) -> None:
        if outer is None:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            self._function = node.name, first
            self._name = ".".join([*self._classes, node.name])

    def _mutant(self, place: _Place, node: _Node, new: _Node) -> Mutant:
        statement = self._statement
        before = _first_line(statement)
        ast.copy_location(new, node)
        ast.fix_missing_locations(new)
        place.put(new)
        after = _first_line(new if statement is node and isinstance(new, ast.stmt) else statement)
        place.put(node)
        line = getattr(node, "lineno", statement.lineno)
        return Mutant(line, self._function, self._name, before, after, lambda: place.put(new))


def _children(node: _Node) -> Iterator[tuple[_Place, _Node]]:
    for field, value in ast.iter_fields(node):
        if field in _NOT_CODE:
            continue
        if isinstance(value, _Node):
            yield _Place(node, field, None), value
        elif isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, _Node):
                    yield _Place(node, field, index), each


def _first_line(node: _Node) -> str:
    return ast.unparse(node).partition("\n")[0]


def _is_left_alone(node: _Node) -> bool:
    match node:
        case (
            ast.Expr(value=ast.Constant())
            | ast.Import()
            | ast.ImportFrom()
            | ast.JoinedStr()
            | ast.keyword(arg="name")
            | ast.If(test=ast.Name("TYPE_CHECKING"))
            | ast.Subscript(value=ast.Name(id="Literal"))
            | ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")])
            | ast.Call(func=ast.Name(id="TypeVar") | ast.Attribute(attr="getLogger"))
            | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="logger"))))
        ):
            return True
        case _:
            return False


def _speaks(node: _Node) -> bool:
    match node:
        case ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _SPEAKING
        case _:
            return False


def _changes(node: _Node) -> Iterator[_Node]:
    yield from _of_condition(node)
    yield from _of_value(node)
    yield from _of_statement(node)


def _of_condition(node: _Node) -> Iterator[_Node]:
    match node:
        case ast.Compare():
            yield from _compared_otherwise(node)
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            for rest in _each_left_out(values):
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.If(test=test) | ast.IfExp(test=test):
            yield from _decided_otherwise(node, test)
        case ast.comprehension(target=target, iter=iterated, ifs=[_, *_] as conditions):
            for rest in _each_left_out(conditions):
                yield ast.comprehension(target, iterated, rest, node.is_async)


def _of_value(node: _Node) -> Iterator[_Node]:
    match node:
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.Constant(value=value):
            yield from map(ast.Constant, _other_values(value))
        case ast.Name(id=name, ctx=ast.Load()) if name in _OTHER_NAMES:
            yield ast.Name(_OTHER_NAMES[name], ast.Load())
        case ast.Attribute(value=value, attr=name, ctx=ast.Load()) if name in _OTHER_NAMES:
            yield ast.Attribute(value, _OTHER_NAMES[name], ast.Load())


def _of_statement(node: _Node) -> Iterator[_Node]:
    match node:
        case ast.AugAssign(target=target, op=operator, value=value):
            yield ast.Pass()
            if type(operator) in _OPERATORS:
                yield ast.AugAssign(target, _OPERATORS[type(operator)](), value)
        case ast.Return(value=ast.expr() as value) if not _is_plain(value):
            yield ast.Return(ast.Constant(None))
        case ast.Return(value=None) | ast.Continue() | ast.Break() | ast.Raise():
            yield ast.Pass()
        case ast.Delete(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Assign(targets=[target, *_]) if _is_outside(target):
            yield ast.Pass()


def _each_left_out(nodes: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for index in range(len(nodes)):
        yield [*nodes[:index], *nodes[index + 1 :]]


def _compared_otherwise(node: ast.Compare) -> Iterator[ast.expr]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            operators = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, operators, node.comparators)


def _decided_otherwise(node: ast.If | ast.IfExp, test: ast.expr) -> Iterator[_Node]:
    if isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        return
    otherwise = ast.UnaryOp(ast.Not(), test)
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield ast.IfExp(otherwise, body, orelse)
        case ast.If(body=body, orelse=orelse):
            yield ast.If(otherwise, body, orelse)


def _other_values(value: object) -> tuple[str | bytes | float, ...]:
    match value:
        case bool():
            return (not value,)
        case int() | float():
            return (value + 1, value - 1)
        case str():
            return ("" if value else "other",)
        case bytes():
            return (b"" if value else b"other",)
        case _:
            return ()


def _is_outside(target: ast.expr) -> bool:
    """Tell whether an assignment to this is seen outside of the function."""
    if isinstance(target, ast.Tuple):
        return any(map(_is_outside, target.elts))
    return isinstance(target, ast.Attribute | ast.Subscript)


def _is_plain(value: ast.expr) -> bool:
    empty = isinstance(value, ast.Tuple | ast.List) and not value.elts
    return empty or isinstance(value, ast.Constant)
