"""What a command of `nmos-auth` is, whichever room it comes from."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Command", "note", "progress_line"]


@dataclass(frozen=True)
class Command:
    """A command of `nmos-auth`.

    Attributes:
        name: what it is called.
        help: what it does, in a line.
        add_arguments: adds its arguments to a parser.
        run: runs it on what was parsed, and returns the exit code; None stands for 0.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]


def note(text: str) -> None:
    """Tell something on standard error, which no command fails for that cannot write there."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Yield what shows a step in progress on standard error, where that is a terminal.

    "" removes the line, as the end does; each step replaces the one before it.
    """
    shown = sys.stderr.isatty()

    def show(text: str) -> None:
        if shown:
            line = f"… {text}" if text else ""
            with contextlib.suppress(OSError):
                sys.stderr.write(f"\r\033[K{line}")
                sys.stderr.flush()

    try:
        yield show
    finally:
        show("")
