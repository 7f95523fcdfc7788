"""Which command says how often the detectors are right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alignwright.cli.options import Set
from alignwright.run.calibrate import CLEAN_MODELS


def calibrate(
    faults: Annotated[
        list[str] | None, typer.Option(help="Faults to plant; several with commas. None: all of the organisms' folder.")
    ] = None,
    doses: Annotated[
        str | None, typer.Option(help="Shares of planted rows in per cent: 10,50,100. None: the effort's.")
    ] = None,
    effort: Annotated[str, typer.Option(help="demo: 3 doses, a seed each; study: 5 doses, three seeds each.")] = "demo",
    model: Annotated[
        str | None, typer.Option(help="The model that everything starts from; none: the one that the specs name.")
    ] = None,
    detectors: Annotated[
        Path | None, typer.Option(help="A spec to audit by, whose every number is a detector.", dir_okay=False)
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="One of your own: package.module:function or file.py:function. May be repeated."),
    ] = None,
    organisms: Annotated[
        Path | None, typer.Option(help="A folder of organisms of your own, with its index.yaml.", file_okay=False)
    ] = None,
    clean: Annotated[int, typer.Option(help="At least so many clean models.", min=2)] = CLEAN_MODELS,
    set_: Set = None,
    out: Annotated[Path, typer.Option(help="The folder of the calibration.", file_okay=False)] = Path("calibration"),
    blind: Annotated[
        Path | None, typer.Option(help="Look at nothing: lay the models out here as a blind game.", file_okay=False)
    ] = None,
    score: Annotated[
        Path | None, typer.Option(help="Open a game's labels and score these answers.", exists=True, dir_okay=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="With --score: the secret, where it is not beside the game.")] = None,
) -> None:
    """How often is each detector right? Plants known faults, hides which model has which, and lets every
    detector look. Run it again to go on."""
    from alignwright.run.calibrate import commands

    names = [name for option in faults or () for name in _parts(option)]
    shares = [_share(text) for text in _parts(doses or "")]
    if score is not None:
        _refuse("--score", blind=blind, faults=faults, doses=doses, model=model, detectors=detectors, detector=detector)
        commands.score_game(score, key=key)
        return
    _refuse("a calibration without --score", key=key)
    knobs: dict[str, Any] = {
        "model": model, "faults": names, "doses": shares, "effort": effort, "organisms": organisms, "clean": clean,
        "overrides": set_ or (), "out": out,
    }  # fmt: skip
    if blind is None:
        commands.calibrate(detectors=detectors, functions=detector or (), **knobs)
        return
    _refuse("--blind, which looks at nothing", detectors=detectors, detector=detector)
    commands.blind_game(commands.calibration_of(**knobs), blind)


def _refuse(beside: str, **options: object) -> None:
    if others := [name for name, value in options.items() if value]:
        raise ValueError(f"--{others[0]} has no effect beside {beside}; leave it out")


def _parts(option: str) -> list[str]:
    return [part.strip() for part in option.split(",") if part.strip()]


def _share(text: str) -> float:
    try:
        return float(text) / 100
    except ValueError:
        raise ValueError(f"--doses {text}: write per cents with commas, such as 10,50,100") from None
