"""How do a program and the command line ask for a calibration, for a blind game, and for its score?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignwright.files.collector import paused
from alignwright.run.calibrate import CLEAN_MODELS
from alignwright.run.console import screen

if TYPE_CHECKING:
    from rich.console import Console

    from alignwright.run.calibrate.calibrate import Calibration
    from alignwright.run.calibrate.table import CalibrationTable

Overrides = Mapping[str, Any] | Sequence[str]


def calibrate(
    *,
    model: str | os.PathLike[str] | None = None,
    faults: Sequence[str] = (),
    doses: Sequence[float] = (),
    effort: str = "demo",
    detectors: str | os.PathLike[str] | None = None,
    functions: Sequence[str] = (),
    organisms: str | os.PathLike[str] | None = None,
    clean: int = CLEAN_MODELS,
    overrides: Overrides = (),
    out: str | os.PathLike[str] = "calibration",
    quiet: bool = False,
) -> CalibrationTable:
    """Say how often each detector is right: train models with planted faults and clean ones, let every
    detector look at each under a neutral name, and make the table, `calibration.jsonl` and
    `calibration.html` in `out`.

    `faults` are names of the organisms' folder (none: all), `doses` shares of planted rows (none: the
    effort's), `detectors` a spec to audit by whose every number is a detector, `functions` detectors of
    others as package.module:function or file.py:function. `clean` is how many clean models there are at
    least; `overrides` are knobs of every spec that trains. The same call goes on where it was stopped.
    Raises ValueError and SpecError as `align` does.
    """
    with paused():
        from alignwright.run.calibrate.calibrate import calibrate as run_calibrate
        from alignwright.run.calibrate.section import show, write_page
        from alignwright.run.progress import View

    console = screen()
    console.quiet = quiet
    calibration = calibration_of(
        model=model, faults=faults, doses=doses, effort=effort, detectors=detectors, functions=functions,
        organisms=organisms, clean=clean, overrides=overrides, out=out,
    )  # fmt: skip
    table = run_calibrate(calibration, View(console))
    show(table, console)
    _say_files(console, write_page(table, calibration.out))
    return table


def blind_game(calibration: Calibration, folder: str | os.PathLike[str], *, quiet: bool = False) -> Path:
    """Lay out the models of a calibration as a game for whoever looks: neutral names, sealed labels. Returns the
    file of the secret, which lies beside the folder."""
    with paused():
        from alignwright.run.calibrate.blind import blind
        from alignwright.run.progress import View

    console = screen()
    console.quiet = quiet
    secret = blind(calibration, Path(folder), View(console))
    _say(
        console,
        f"{folder}  the game: models, an answer sheet, and the labels, sealed",
        f"{secret}  the secret that opens them: keep it from whoever plays",
    )
    return secret


def score_game(
    answers: str | os.PathLike[str], *, key: str | os.PathLike[str] | None = None, quiet: bool = False
) -> CalibrationTable:
    """Open a game's labels and score the answers; the table lies beside them. `key` is the file of the secret."""
    with paused():
        from alignwright.run.calibrate.blind import score
        from alignwright.run.calibrate.section import show, write_page

    console = screen()
    console.quiet = quiet
    table = score(Path(answers), None if key is None else Path(key))
    show(table, console)
    _say_files(console, write_page(table, Path(answers).parent))
    return table


def calibration_of(
    *,
    model: str | os.PathLike[str] | None = None,
    faults: Sequence[str] = (),
    doses: Sequence[float] = (),
    effort: str = "demo",
    detectors: str | os.PathLike[str] | None = None,
    functions: Sequence[str] = (),
    organisms: str | os.PathLike[str] | None = None,
    clean: int = CLEAN_MODELS,
    overrides: Overrides = (),
    out: str | os.PathLike[str] = "calibration",
) -> Calibration:
    """What is asked for, in the words of `calibrate`."""
    from alignwright.run.calibrate.calibrate import Calibration
    from alignwright.run.calibrate.organisms import FOLDER
    from alignwright.run.interface import settings

    return Calibration(
        out=Path(out),
        model=None if model is None else os.fspath(model),
        organisms=FOLDER if organisms is None else Path(organisms),
        detectors=None if detectors is None else Path(detectors),
        functions=tuple(functions),
        faults=tuple(faults),
        doses=tuple(doses),
        effort=effort,
        clean=clean,
        overrides=settings(overrides),
    )


def _say_files(console: Console, page: Path) -> None:
    _say(console, f"{page}  the tables, with the limits of every count", f"{page.with_suffix('.jsonl')}  every number")


def _say(console: Console, *lines: str) -> None:
    from alignwright.report.text import visible

    for line in lines:
        console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
