"""The commands of `nmos-auth`, which all rooms define in the same way, and their output."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "Command",
    "columns",
    "hanging",
    "note",
    "number",
    "printable",
    "progress_line",
    "show",
    "table",
    "whole",
]

_WIDEST = 120
_LEAST_TEXT = 30
# The verdicts at the start of a line, and their colours on a terminal.
_COLOURS = {
    **dict.fromkeys(("ok", "pass", "permitted"), 32),
    **dict.fromkeys(("warning", "cannot tell", "could not test"), 33),
    **dict.fromkeys(("NO", "WRONG", "fail", "failure", "refused"), 31),
}
_VERDICT = re.compile(rf"^( {{0,2}})({'|'.join(_COLOURS)})(?=[ :]|$)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command of `nmos-auth`.

    Attributes:
        name: its name.
        help: what it does, in a line.
        add_arguments: adds its arguments to a parser.
        run: runs it with the parsed arguments, and returns the exit code; None is 0.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number within these bounds."""

    def parse(text: str) -> int:
        digits = text if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else ""
        if not digits or not least <= int(digits) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return int(digits)

    return parse


def number(text: str) -> float:
    """Parse an argument that is a number, 0 or more."""
    try:
        parsed = float(text)
    except ValueError:
        parsed = math.nan
    if not 0 <= parsed < math.inf:
        raise argparse.ArgumentTypeError("must be a number, 0 or more")
    return parsed


def printable(text: str) -> str:
    """Return a text in which a character that controls a terminal is replaced; lines remain.

    Commands show what servers and devices say, which may be hostile.
    """
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)


def show(text: str) -> None:
    """Print the result of a command.

    On a terminal, verdicts at the start of a line are in colour, unless NO_COLOR is set.

    Raises:
        OSError: it cannot be written; the message names standard output.
    """
    text = printable(text)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
        text = _VERDICT.sub(lambda it: f"{it[1]}\033[{_COLOURS[it[2]]}m{it[2]}\033[0m", text)
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, f"standard output: {error.strerror}") from None


def columns() -> int:
    """Return how many columns a line may have; without a terminal, any number."""
    if not sys.stdout.isatty():
        return sys.maxsize
    return min(_WIDEST, shutil.get_terminal_size().columns)


def hanging(first: str, text: str, width: int) -> str:
    """Return a text whose further lines begin below its start.

    Args:
        first: what comes before it.
        text: any number of words.
        width: the columns for everything.
    """
    if width - len(first) < _LEAST_TEXT:  # there is only room below it
        return f"{first.rstrip()}\n{hanging('    ', text, max(width, 2 * _LEAST_TEXT))}"
    return textwrap.fill(
        text,
        width=width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Sequence[Sequence[str]], width: int) -> str:
    """Return rows of cells as lines, in columns, with the last cell wrapped.

    Args:
        rows: the rows, each with the same number of cells.
        width: the columns of the terminal; `sys.maxsize` for programs, which get one line for each
            row, with single spaces.
    """
    if width == sys.maxsize:
        return "\n".join(" ".join(row) for row in rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    firsts = (
        "".join(f"{cell:<{wide}}  " for cell, wide in zip(row[:-1], widths[:-1], strict=True))
        for row in rows
    )
    return "\n".join(
        hanging(first, row[-1], width) for first, row in zip(firsts, rows, strict=True)
    )


def note(text: str) -> None:
    """Print a message to standard error. It is not an error if that is not possible."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the present step on standard error, if that is a terminal.

    Each step replaces the previous one; "" removes the line, and so does the end of the block.
    """
    shown = sys.stderr.isatty()

    def show_step(text: str) -> None:
        if shown:
            line = f"… {printable(text)}"[: shutil.get_terminal_size().columns - 1] if text else ""
            with contextlib.suppress(OSError):
                sys.stderr.write(f"\r\033[K{line}")
                sys.stderr.flush()

    try:
        yield show_step
    finally:
        show_step("")
