"""How the testing tool's results are counted and shown."""

from tests.conformance.results import Run, counts_table, exit_status, notable_lines

REPORT = b"""{
    "suite": "IS-05-01", "duration": 8.1, "config": {"VERSION": "264fb7a"}, "results": [
    {"name": "__init__", "state": "Not Applicable", "detail": "", "description": "Test setup"},
    {"name": "test_01", "state": "Pass", "detail": null, "description": "Root"},
    {"name": "test_02", "state": "Could Not Test", "detail": "No\\nSenders", "description": "All"},
    {"name": "tear_down_tests", "state": "Not Applicable", "detail": "", "description": ""}
]}"""


def run_of(*states: str) -> Run:
    """A run whose tests ended in these states."""
    return Run.model_validate(
        {"results": [{"name": f"test_{n}", "state": state} for n, state in enumerate(states)]}
    )


def test_the_tools_own_preparations_are_no_tests() -> None:
    """What the tool lists before and after the tests is left away."""
    assert [result.name for result in Run.model_validate_json(REPORT).tests] == [
        "test_01",
        "test_02",
    ]


def test_every_result_but_a_pass_has_a_line() -> None:
    """Name, state, description and detail, on one line."""
    assert notable_lines("IS-05-01", Run.model_validate_json(REPORT).tests) == [
        "IS-05-01  test_02  Could Not Test: All | No Senders"
    ]


def test_the_table_counts_states_and_names_aborted_suites() -> None:
    """Passes, failures and warnings always have a column, other states where there are any."""
    runs = {"IS-04-01": run_of("Pass", "Pass", "Manual"), "IS-08-01": None}
    assert counts_table(runs) == [
        "suite     Pass  Fail  Warning  Manual",
        "IS-04-01     2     0        0       1",
        "IS-08-01  aborted",
    ]


def test_failures_and_aborted_suites_decide_the_exit_status() -> None:
    """Warnings are for people to judge."""
    good = run_of("Pass", "Warning", "Could Not Test")
    assert exit_status({"a": good}) == 0
    assert exit_status({"a": good, "b": run_of("Pass", "Fail")}) == 1
    assert exit_status({"a": good, "b": None}) == 1
