"""Queries in the Resource Query Language, as far as Controllers in browsers send them.

IS-04 "APIs: Query Parameters", Advanced (RQL) Queries: in the normalised form, with `and`, `or`,
`not`, `eq`, `ne`, `in` and `matches`. "A `501` (Not Implemented) HTTP status code MUST be returned
where an RQL query is attempted using RQL functions or operators which are not supported".

`syntax` reads calls and values, `values` says which values are the same, `patterns` searches in
texts, and `expressions` puts them together to what a resource has to meet.
"""

from example_node.registry.rql.expressions import Expression, parse
from example_node.registry.rql.syntax import of_parameter

__all__ = ["Expression", "of_parameter", "parse"]
