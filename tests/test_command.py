"""How commands use a terminal: its width, its colours, and a line of progress."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from nmos_auth.command import columns, hanging, note, progress_line, show, table

ROWS = [["https://auth.example.com", "ok"], ["https://b.example.com", "it does not answer " * 5]]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Return what makes standard output and standard error a terminal of sixty columns.

    It is for the test to call, since pytest's own streams are other ones by then.
    """

    def make() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "60")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return stream

    return make


def test_a_table_fits_the_terminal(terminal: Callable[[], Terminal]) -> None:
    """Columns are aligned, and what is too long goes on below where it began."""
    terminal()
    lines = table(ROWS, columns()).splitlines()
    assert lines[0] == "https://auth.example.com  ok"
    assert all(len(line) <= 60 for line in lines)
    assert len(lines) > 2
    assert {line[:26] for line in lines[2:]} == {" " * 26}


def test_programs_get_a_row_a_line() -> None:
    """Without a terminal nothing is wrapped, and cells have one space between them."""
    lines = table(ROWS, columns()).splitlines()
    assert lines == [" ".join(row) for row in ROWS]


def test_no_room_beside_what_is_first() -> None:
    """A text goes below what would leave it no room."""
    lines = hanging("x" * 50 + "  ", "word " * 20, 60).splitlines()
    assert lines[0] == "x" * 50
    assert all(line.startswith("    word") for line in lines[1:])


def test_verdicts_have_their_colours(terminal: Callable[[], Terminal]) -> None:
    """Only at the start of a line, and only the word."""
    stream = terminal()
    show("ok       settings: ok\n  NO aud  no\nwarning\nokay")
    assert stream.getvalue() == (
        "\033[32mok\033[0m       settings: ok\n"
        "  \033[31mNO\033[0m aud  no\n"
        "\033[33mwarning\033[0m\nokay\n"
    )


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_it_is_not_wanted(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """NO_COLOR with any value, and terminals that have none."""
    stream = terminal()
    monkeypatch.setenv(name, value)
    show("ok it is")
    assert stream.getvalue() == "ok it is\n"


def test_an_empty_no_color_says_nothing(
    terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rule is about a value that is not empty."""
    stream = terminal()
    monkeypatch.setenv("NO_COLOR", "")
    show("ok")
    assert stream.getvalue() == "\033[32mok\033[0m\n"


def test_no_colour_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not a terminal gets the words."""
    show("failure  DNS-SD: no answer")
    assert capsys.readouterr().out == "failure  DNS-SD: no answer\n"


def test_progress_is_one_line_that_goes(terminal: Callable[[], Terminal]) -> None:
    """Each step replaces the one before it, is not wider than the terminal, and none stays."""
    stream = terminal()
    with progress_line() as progress:
        progress("one")
        progress("two " * 30)
    steps = stream.getvalue().split("\r\033[K")
    assert steps[:2] == ["", "… one"]
    assert len(steps[2]) == 59
    assert steps[3] == ""


def test_no_progress_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A log of standard error has none."""
    with progress_line() as progress:
        progress("one")
    assert capsys.readouterr().err == ""


def test_what_others_wrote_does_not_control_a_terminal(terminal: Callable[[], Terminal]) -> None:
    """On standard output, on standard error, and in the line of progress."""
    hostile = "a\x1b]0;owned\x07\x9b2Jb\r\nc"
    harmless = "a\ufffd]0;owned\ufffd\ufffd2Jb\ufffd\nc"
    shown = terminal()
    show(hostile)
    note(hostile)
    with progress_line() as progress:
        progress(hostile)
    assert shown.getvalue().count(f"{harmless}\n") == 2
    assert "\x9b" not in shown.getvalue()
    assert "owned\x07" not in shown.getvalue()
