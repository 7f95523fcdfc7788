"""How is a training stage's curve written to TensorBoard, trackio or Weights & Biases?

Each stage is a run of its own there, as its steps begin at 0, under a name that stays: a stage that
goes on after a kill goes on in the same one. Nothing but the curves is sent: no code, no git state,
no machine, no console. What the tool itself asks its user for (a login, a server, a space) is asked
of its own settings and environment variables.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from alignwright.run.mirror.curves import StageFolder


class Curves(Protocol):
    """The open curves of one stage."""

    def add(self, step: int, values: Mapping[str, float]) -> None: ...

    def flush(self) -> None:
        """Put what was added on disk, as far as the tool lets one ask for that."""
        ...

    def close(self) -> None: ...


def open_curves(mirror: str, stage: StageFolder, first: int, *, project: str, run: Path, folder: Path) -> Curves:
    """The curves of a stage, open to go on at step `first`; `folder` is the mirror's own."""
    match mirror:
        case "tensorboard":
            return _TensorBoard(folder / stage.curve_id, first)
        case "trackio":
            return _Trackio(project, run.name, f"{run.name}/{stage.curve_id}")
        case "wandb":
            return _Wandb(project, run.name, stage, folder)
        case other:
            raise ValueError(f"no mirror is called {other!r}")


class _TensorBoard:
    """Event files, a folder a stage. A file begins by saying at which step it goes on: TensorBoard
    drops what an earlier file has from there on, so that no step is there twice."""

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder), filename_suffix=f".{os.getpid()}")
        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=first, session_log=start))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        summary = self._summary(value=[self._summary.Value(tag=name, simple_value=v) for name, v in values.items()])
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    def __init__(self, project: str, group: str, name: str) -> None:
        import trackio

        self._run: Any = trackio.init(
            project, name=name, group=group, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        pass  # it writes by itself, within a second

    def close(self) -> None:
        self._run.finish()


class _Wandb:
    def __init__(self, project: str, group: str, stage: StageFolder, folder: Path) -> None:
        import wandb

        settings = wandb.Settings(
            console="off", disable_code=True, disable_git=True, x_disable_meta=True, x_disable_stats=True, silent=True
        )
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or project,
            group=group,
            name=stage.name,
            id=f"{group}-{stage.curve_id}",
            dir=str(folder),
            resume="allow",
            settings=settings,
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def flush(self) -> None:
        pass  # its own process has it

    def close(self) -> None:
        self._run.finish()
