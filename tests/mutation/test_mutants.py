"""From a source to its mutants."""

from __future__ import annotations

import ast

from tests.mutation.mutants import mutants_of

SOURCE = """
BOUND = 3

class Gate:
    def opens(self, count: int, *, default: bool = False) -> bool:
        '''Say so.'''
        logger.info("asked %d", count)
        if self.closed:
            raise Closed("it is closed")
        self.asked = count
        return count < BOUND and default
"""


def test_each_mutant_is_one_small_change() -> None:
    """What is said to people, types and documentation are left alone."""
    tree = ast.parse(SOURCE)
    mutants = mutants_of(tree)
    last = "return count < BOUND and default"
    assert [each.text.partition(": ")[2] for each in mutants if each.function is None] == [
        "BOUND = 3 → BOUND = 4",
        "BOUND = 3 → BOUND = 2",
        (
            "def opens(self, count: int, *, default: bool=False) -> bool: →"
            " def opens(self, count: int, *, default: bool=True) -> bool:"
        ),
    ]
    assert [each.text for each in mutants if each.function == ("opens", 5)] == [
        "Gate.opens: if self.closed: → if not self.closed:",
        "Gate.opens: raise Closed('it is closed') → pass",
        "Gate.opens: self.asked = count → pass",
        f"Gate.opens: {last} → return None",
        f"Gate.opens: {last} → return count < BOUND or default",
        f"Gate.opens: {last} → return default",
        f"Gate.opens: {last} → return count < BOUND",
        f"Gate.opens: {last} → return count <= BOUND and default",
        f"Gate.opens: {last} → return count >= BOUND and default",
    ]
    assert ast.unparse(tree) == ast.unparse(ast.parse(SOURCE))
    mutants[0].apply()
    assert "BOUND = 4" in ast.unparse(tree)
