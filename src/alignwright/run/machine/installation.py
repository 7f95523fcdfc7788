"""Are the packages, the extras and the bundled model there, in versions that are new enough?

Asked of the metadata of what is installed; nothing is imported. Versions are compared by their
leading numbers alone, which is all that our own lower bounds hold.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from alignwright.core.version import __version__
from alignwright.files.models import BUNDLED, INSTALL, ModelError, resolve
from alignwright.run.machine.machine_part import MachinePart

NAME = "alignwright"
DEVELOPMENT = "dev"
_REQUIREMENT = re.compile(r"([\w.-]+?)\s*(?:>=\s*([\d.]+))?\s*(?:;\s*extra == ['\"]([\w.-]+)['\"])?")


def system() -> MachinePart:
    """Which Python, on which system, of which Alignwright."""
    seen = f"Alignwright {__version__}, Python {platform.python_version()}, {platform.platform()}"
    return MachinePart(part="system", state="ok", seen=seen)


def packages() -> MachinePart:
    """Whether all that a run needs is installed, and new enough."""
    needs = [(name, least) for name, least, extra in _requirements() if not extra]
    if not needs:
        return MachinePart(
            part="packages",
            state="note",
            seen="Alignwright runs from a folder that was not installed, so what it needs is not known here",
            cure="pip install -e . in its folder",
        )
    troubles = {name: trouble for name, least in needs if (trouble := why_unfit(name, least))}
    if troubles:
        wanted = " ".join(f"'{name}{f'>={least}' if least else ''}'" for name, least in needs if name in troubles)
        return MachinePart(
            part="packages", state="fault", seen="; ".join(troubles.values()), cure=f"pip install {wanted}"
        )
    return MachinePart(part="packages", state="ok", seen=", ".join(f"{name} {version(name)}" for name, _ in needs))


def extras() -> MachinePart:
    """Which extras are there. One that is not there is no fault: an error names it when it is needed."""
    parts: dict[str, list[str | None]] = {}
    for name, least, extra in _requirements():
        if extra and extra != DEVELOPMENT:
            parts.setdefault(extra, []).append(why_unfit(name, least))
    whole = [extra for extra, troubles in parts.items() if not any(troubles)]
    absent = [extra for extra in parts if extra not in whole]
    too_old = [trouble for troubles in parts.values() for trouble in troubles if trouble and "older" in trouble]
    seen = f"there: {', '.join(whole) or 'none'}; not there: {', '.join(absent) or 'none'}"
    if too_old:
        cure = f"pip install --upgrade '{NAME}[{','.join(absent)}]'"
        return MachinePart(part="extras", state="note", seen=f"{seen} ({'; '.join(too_old)})", cure=cure)
    return MachinePart(part="extras", state="ok", seen=seen)


def bundled_model() -> MachinePart:
    """Whether the model that the quickstart and new projects begin with is there, and can be read."""
    try:
        model = resolve(BUNDLED)
    except (ModelError, ValueError, OSError) as error:
        return MachinePart(
            part="bundled model",
            state="fault",
            seen=str(error),
            cure=f"{INSTALL} (or name another model in every spec)",
        )
    size = f"{(model.parameters or 0) / 1e6:.0f} million weights"
    return MachinePart(part="bundled model", state="ok", seen=f"{BUNDLED}, {size}, {model.path}")


def why_unfit(name: str, least: str) -> str | None:
    """Why an installed package will not do: it is not there, or too old; None where it will."""
    try:
        now = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    if least and _numbers(now) < _numbers(least):
        return f"{name} {now} is older than {least}"
    return None


def _requirements() -> Iterable[tuple[str, str, str]]:
    """What the package needs: name, least version, and the extra that it belongs to."""
    try:
        lines = requires(NAME) or []
    except PackageNotFoundError:
        return []
    return [
        (match[1], match[2] or "", match[3] or "") for line in lines if (match := _REQUIREMENT.fullmatch(line.strip()))
    ]


def _numbers(text: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, leading[0].split("."))) if leading else ()
