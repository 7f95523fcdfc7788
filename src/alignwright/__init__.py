"""Align a language model to what you meant, and find out whether it worked.

    import alignwright as aw

    aw.check("spec.yaml")                      # every mistake, with file and line
    run = aw.align("spec.yaml")                # the same call again resumes
    print(run)                                 # the promises, and a table of the claims
    run.findings.to_pandas()                   # every number, with n and interval
    run.model().generate([aw.Conversation.user("Hello")])

The functions are those of the command line (`alignwright.run.interface`). Importing this loads no torch,
and nothing but this file: each name is looked up when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from alignwright.core.version import __version__

if TYPE_CHECKING:
    from alignwright.core.promises import Verdict
    from alignwright.core.records import Conversation, Finding, Message
    from alignwright.files.errors import SpecError
    from alignwright.files.models import ModelError
    from alignwright.run.calibrate.commands import calibrate
    from alignwright.run.interface import (
        SpecCheck,
        align,
        audit,
        check,
        check_data,
        compare,
        estimate,
        export,
        rejudge,
        render_report,
        runs,
    )
    from alignwright.run.machine.doctor import doctor
    from alignwright.run.run_folder import Findings, Run, load_model
    from alignwright.run.run_list import RunSummary

__all__ = [
    "Conversation",
    "Finding",
    "Findings",
    "Message",
    "ModelError",
    "Run",
    "RunSummary",
    "SpecCheck",
    "SpecError",
    "Verdict",
    "__version__",
    "align",
    "audit",
    "calibrate",
    "check",
    "check_data",
    "compare",
    "doctor",
    "estimate",
    "export",
    "load_model",
    "rejudge",
    "render_report",
    "runs",
]

_HOMES = {
    "alignwright.core.promises": ("Verdict",),
    "alignwright.core.records": ("Conversation", "Finding", "Message"),
    "alignwright.files.errors": ("SpecError",),
    "alignwright.files.models": ("ModelError",),
    "alignwright.run.calibrate.commands": ("calibrate",),
    "alignwright.run.interface": (
        "SpecCheck",
        "align",
        "audit",
        "check",
        "check_data",
        "compare",
        "estimate",
        "export",
        "rejudge",
        "render_report",
        "runs",
    ),
    "alignwright.run.machine.doctor": ("doctor",),
    "alignwright.run.run_folder": ("Findings", "Run", "load_model"),
    "alignwright.run.run_list": ("RunSummary",),
}


if not TYPE_CHECKING:  # with it a type checker would take every name for one of ours

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
