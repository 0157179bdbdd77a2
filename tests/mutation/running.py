"""Which test runs which function, and what the tests say of a mutant.

pytest collects once. A mutant of a function is made in a fork of that process, by giving the live
function other code; one outside of functions in a new process, which imports it.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

from tests.mutation.fresh_import import VARIABLE, Task
from tests.mutation.mutants import Mutant, mutants_of
from tests.support.tokens import signing_key

__all__ = ["ARGUMENTS", "Runner", "Verdict"]

ARGUMENTS = ("-q", "--no-header", "-pno:cacheprovider", "-pno:randomly", "-otimeout=0")

_SURVIVED, _KILLED, _NOT_MADE = 0, 1, 3
# Keys that tests sign with are made once, and not once more for each mutant.
_KEYS = 10
# A mutant may use time and memory without end.
_MEMORY = 4 * 2**30
_CPU_SECONDS = 10
# Tests of several processes are not used: on a busy machine they fail without any mutant.
_BESIDE = frozenset({"socket.bind", "socket.connect", "subprocess.Popen", "os.fork"})
_SECONDS = 60

Function = tuple[str, str, int]
"""A function by its file, its name and its first line."""


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a mutant."""

    module: str
    mutant: Mutant
    survived: bool


@dataclass
class _Baseline:
    """How many seconds of the processor each test uses, and which functions it runs."""

    seconds: dict[str, float] = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=dict)

    def tests_of(self, module: Path, mutant: Mutant) -> list[str]:
        """Return the tests that may notice a mutant, the quickest of its own module first.

        Any test may notice one outside of functions.
        """
        own, path = f"test_{module.stem}.py", str(module.resolve())
        runs_it = {
            test
            for test, functions in self.functions.items()
            if any(
                file == path and (mutant.function is None or (name, line) == mutant.function)
                for file, name, line in functions
            )
        }
        return sorted(
            self.functions if mutant.function is None else runs_it,
            key=lambda test: (own not in test, test not in runs_it, self.seconds[test]),
        )


class Runner:
    """A plugin for pytest that runs mutants in place of tests.

    Args:
        modules: the files to mutate, as paths from the root.
        most_seconds: how long the tests of one mutant may last altogether; the longest are left.
        jobs: how many mutants are tried at once.
        wanted: tells by its text whether a mutant is to be tried.
        tell: takes each verdict.
    """

    def __init__(
        self,
        modules: Sequence[Path],
        *,
        most_seconds: float,
        jobs: int,
        wanted: Callable[[str], bool],
        tell: Callable[[Verdict], None],
    ) -> None:
        self._modules = modules
        self._most_seconds = most_seconds
        self._jobs = jobs
        self._wanted = wanted
        self._tell = tell
        self._paths = {str(each.resolve()) for each in modules}
        self._items: dict[str, pytest.Item] = {}
        self._live: dict[Function, list[FunctionType]] = defaultdict(list)
        self._running: dict[int, tuple[Path, Mutant]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Have every mutant meet the same examples, and let no failure shrink."""
        import hypothesis  # noqa: PLC0415 - pytest wants to see its plugins imported

        hypothesis.settings.register_profile(
            "mutation",
            derandomize=True,
            database=None,
            deadline=None,
            phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        )
        hypothesis.settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant."""
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self._items = {item.nodeid: item for item in session.items}
        self._plugins = session.config.pluginmanager
        gc.unfreeze()  # what was collected is hidden from `get_objects` else
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename in self._paths:
                self._live[_key(each.__code__)].append(each)
        for number in range(_KEYS):
            signing_key(number)
        baseline = self._measured()
        for module in self._modules:
            tree = ast.parse(module.read_bytes())
            for number, mutant in enumerate(mutants_of(tree)):
                if self._wanted(mutant.text):
                    tests = self._chosen(baseline, module, mutant)
                    self._begin(module, tree, mutant, number, tests)
        while self._running:
            self._reap()
        return True

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """Have a fork of this process say nothing, and never return from where it was made."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(nothing, stream)
        self._plugins.unregister(name="terminalreporter")
        try:
            yield
        finally:
            os._exit(_NOT_MADE)

    def _measured(self) -> _Baseline:
        with tempfile.NamedTemporaryFile() as file:
            pid = os.fork()
            if not pid:
                with self._ending():
                    Path(file.name).write_text(json.dumps(self._measure()))
                    os._exit(0)
            if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
                raise pytest.UsageError("the tests cannot be run without any mutant")
            seconds, functions = json.loads(Path(file.name).read_text())
        return _Baseline(
            seconds, {test: [tuple(each) for each in own] for test, own in functions.items()}
        )

    def _measure(self) -> tuple[dict[str, float], dict[str, list[Function]]]:
        entered, beside = set[Function](), list[str]()

        def trace(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename in self._paths:
                entered.add(_key(frame.f_code))

        def audit(event: str, _: object) -> None:
            if event in _BESIDE:
                beside.append(event)
                raise RuntimeError(event)

        sys.addaudithook(audit)
        threading.settrace(trace)
        sys.settrace(trace)
        seconds, functions, began = {}, {}, time.process_time()
        for test, passed in self._run(list(self._items)):
            if passed and not beside:
                seconds[test] = time.process_time() - began
                functions[test] = sorted(entered)
            entered.clear()
            beside.clear()
            began = time.process_time()
            sys.settrace(trace)  # a test may have set its own
        return seconds, functions

    def _run(self, tests: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Run tests, and tell of each whether it passed."""
        items = [self._items[test] for test in tests]
        following = [*items[1:], None]
        for item, after in zip(items, following, strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            passed, item.session.testsfailed = not item.session.testsfailed, 0
            yield item.nodeid, passed

    def _chosen(self, baseline: _Baseline, module: Path, mutant: Mutant) -> list[str]:
        chosen, left = [], self._most_seconds
        for test in baseline.tests_of(module, mutant):
            left -= baseline.seconds[test]
            if left >= 0:
                chosen.append(test)
        return chosen

    def _begin(
        self, module: Path, tree: ast.Module, mutant: Mutant, number: int, tests: list[str]
    ) -> None:
        if len(self._running) >= self._jobs:
            self._reap()
        if not tests:
            self._tell(Verdict(str(module), mutant, survived=True))
            return
        pid = os.fork()
        if not pid:
            with self._ending():
                self._try(module, tree, mutant, number, tests)
        self._running[pid] = module, mutant

    def _try(
        self, module: Path, tree: ast.Module, mutant: Mutant, number: int, tests: list[str]
    ) -> None:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        limit = int(_CPU_SECONDS + 3 * self._most_seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(_SECONDS + 10 * self._most_seconds))
        if mutant.function is None:
            own = [test for test in tests if f"test_{module.stem}.py" in test]
            others = [test for test in tests if test not in own]
            killed = any(_fails(Task(str(module), number, part)) for part in (own, others) if part)
            os._exit(_KILLED if killed else _SURVIVED)
        mutant.apply()
        code = _code_of(compile(tree, str(module.resolve()), "exec", dont_inherit=True), mutant)
        functions = self._live[_key(code)]
        for function in functions:
            function.__code__ = code
        if not functions:
            os._exit(_NOT_MADE)
        for _, passed in self._run(tests):
            if not passed:
                os._exit(_KILLED)
        os._exit(_SURVIVED)

    def _reap(self) -> None:
        pid, status = os.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what a test has left behind
        if pid in self._running:
            module, mutant = self._running.pop(pid)
            survived = os.waitstatus_to_exitcode(status) in {_SURVIVED, _NOT_MADE}
            self._tell(Verdict(str(module), mutant, survived=survived))


def _fails(task: Task) -> bool:
    """Tell whether a test fails in a process that imports the mutant."""
    files = {test.partition("::")[0]: None for test in task.tests}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", *ARGUMENTS, "-ptests.mutation.fresh_import", *files],
        env={**os.environ, VARIABLE: task.dump()},
        check=False,
    )
    return done.returncode != 0


def _key(code: CodeType) -> Function:
    return code.co_filename, code.co_name, code.co_firstlineno


def _code_of(module: CodeType, mutant: Mutant) -> CodeType:
    """Find the code of the mutant's function, in a module or in one of its classes."""
    for each in module.co_consts:
        if isinstance(each, CodeType):
            if (each.co_name, each.co_firstlineno) == mutant.function:
                return each
            with contextlib.suppress(LookupError):
                return _code_of(each, mutant)
    raise LookupError(mutant.text)
