"""How many tests read real data, and did any skip that should not have?

Where ALIGNWRIGHT_DATA is set every test marked `data` can run, so one that skips means that
something is missing: the session fails. The count is printed at the end of every session that
collected such a test.
"""

from __future__ import annotations

import os

import pytest
from real_data import VARIABLE

# a machine without bwrap and user namespaces runs the tests' own harmless programs all the same;
# what is refused there has tests of its own
os.environ.setdefault("ALIGNWRIGHT_RUN_WITHOUT_WALL", "1")
MARKED = "reads_real_data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("data") is not None:
            item.user_properties.append((MARKED, True))  # reports carry it, also from the workers of xdist


def _data_tests(terminalreporter: pytest.TerminalReporter) -> tuple[int, list[str]]:
    """How many ran, and the names of those that skipped."""
    ran = sum(
        _marked(report) and report.when == "call"
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, [])
    )
    return ran, [report.nodeid for report in terminalreporter.stats.get("skipped", []) if _marked(report)]


def _marked(report: object) -> bool:
    return (MARKED, True) in map(tuple, getattr(report, "user_properties", []))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        os.environ.get(VARIABLE)
        and reporter is not None
        and session.exitstatus == pytest.ExitCode.OK
        and _data_tests(reporter)[1]
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran, skipped = _data_tests(terminalreporter)
    if not ran and not skipped:
        return
    folder = os.environ.get(VARIABLE)
    where = f"{VARIABLE}={folder}" if folder else f"{VARIABLE} is not set"
    terminalreporter.write_line(f"data tests: {ran} ran, {len(skipped)} skipped ({where})")
    if folder:
        for name in skipped:
            terminalreporter.write_line(f"FAILED {name}: skipped though {VARIABLE} is set", red=True)
