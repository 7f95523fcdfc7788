"""How does a run's model leave in the form that others serve, and does it behave there as it did
when it was measured?

The model is the one in the run's `model/`, exactly as it was measured. Where it goes is one word:
`gguf:f16`, `gguf:bf16` or `gguf:q8_0`, and `ollama` with a Modelfile; `peft` writes the adapter that
gives it over its base, `hub` a repository's folder; `inspect` and `eee` write the run's numbers as
Inspect's logs and as records of Every Eval Ever, `bundle` all that others need to check them. A GGUF
file is then opened again and answers the run's promises anew (`verify`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from alignwright.files import collector
from alignwright.report import read
from alignwright.report.card import front_matter
from alignwright.report.results import RunResults
from alignwright.run.export.bundle import write_bundle
from alignwright.run.export.every_eval_ever import write_every_eval_ever
from alignwright.run.export.hub_folder import write_hub
from alignwright.run.export.inspect_logs import write_inspect
from alignwright.run.export.new_folder import size
from alignwright.run.export.ollama_folder import KIND, write_ollama
from alignwright.run.export.peft_adapter import write_peft
from alignwright.run.llama_cpp import ENGINES
from alignwright.run.run_folder import load_model, model_folder
from alignwright.run.steered import NO_RUN, is_steered

if TYPE_CHECKING:
    from alignwright.run.export.verify import Ask, Verification
    from alignwright.run.llama_cpp import Engine
    from alignwright.run.progress import View

TARGETS = ("gguf:f16", "gguf:bf16", "gguf:q8_0", "ollama", "peft", "hub", "inspect", "eee", "bundle")
QUESTIONS = ("promised", "all")
FILES = ("gguf", "ollama")
"""The forms whose weights are not those that were measured."""


@dataclass(frozen=True)
class Export:
    """What was written, and what there is to say of it, a line each."""

    path: Path
    lines: tuple[str, ...]
    verification: Verification | None = None
    """What the file answers to the run's promises; None where it was not asked."""

    @property
    def exit_code(self) -> int:
        return self.verification.exit_code if self.verification else 0


def export(
    run: Path,
    to: str,
    view: View,
    *,
    out: Path | None = None,
    verify: bool = True,
    engine: str = "auto",
    ask: str = "promised",
    spec_folder: Path | None = None,
    repo: str | None = None,
    dry_run: bool = False,
) -> Export:
    """Write the model of a run for `to`, into `out` or under the run's `export/`, and (`verify`)
    answer the run's promises again on a file that changes it, by the questions that they rest on or, by
    `ask`, by all. `spec_folder`: where the spec's data
    lie, where that is no longer the place that the run noted; `repo`: to which repository of the Hub
    its folder is uploaded, and with `dry_run` what would be.

    Raises ValueError, naming it, for what cannot be written so, and FileNotFoundError where the run
    has no model."""
    _no_option_without_effect(
        to, verify=verify, engine=engine, ask=ask, spec_folder=spec_folder, repo=repo, dry_run=dry_run
    )
    if is_steered(run):
        raise ValueError(f"{run} {NO_RUN}")
    with collector.paused(), view.job(f"export to {to}"):
        result = _write_as(run, to, out, repo=repo, dry_run=dry_run)
    if not verify or to.partition(":")[0] not in FILES:
        return result
    from alignwright.run.export.verify import verify as answer_again

    verification = answer_again(
        run, result.path, view, spec_folder=spec_folder, engine=cast("Engine", engine), ask=cast("Ask", ask)
    )
    return replace(result, lines=(*result.lines, *verification.lines()), verification=verification)


def _write_as(run: Path, to: str, out: Path | None, *, repo: str | None, dry_run: bool) -> Export:
    """What was written, not asked yet."""
    form, _, kind = to.partition(":")
    if to == "inspect":
        folder, logs = out or run / "export" / "inspect", len(write_inspect(run, out))
        return Export(folder, (f"{folder}: {logs} logs, one for each claim of each stage and each attack's tries",))
    if to == "eee":
        folder, lines = write_every_eval_ever(run, out)
    elif to == "bundle":
        folder, lines = write_bundle(run, out)
    elif to == "peft":
        folder, lines = write_peft(run, out)
    elif to == "hub":
        folder, lines = write_hub(run, out, repo=repo, dry_run=dry_run)
    elif form == "ollama":
        folder, lines = _ollama(run, kind or KIND, out)
    elif form == "gguf" and kind:
        folder = _gguf(run, kind, out)
        lines = [f"{folder}: {size(folder)}, matrices in {kind}"]
    else:
        raise ValueError(f"--to {to!r} is not known; choose from {', '.join(TARGETS)}")
    return Export(folder, tuple(lines))


def _no_option_without_effect(to: str, **options: object) -> None:
    unused = [name for name in ("repo", "dry_run") if options[name]] if to != "hub" else []
    asking = {"engine": "auto", "ask": "promised", "spec_folder": None}
    for name, choices in (("engine", ENGINES), ("ask", QUESTIONS)):
        if options[name] not in choices:
            raise ValueError(f"{name} {options[name]!r} is not known; choose from {', '.join(choices)}")
    form, because = to.partition(":")[0], f"with --to {to}"
    if form not in FILES:  # the others hold the measured weights, or no weights
        unused += ["no_verify"] if not options["verify"] else []
    elif not options["verify"]:
        because = "with --no-verify"
    if form not in FILES or not options["verify"]:
        unused += [name for name, usual in asking.items() if options[name] != usual]
    if unused:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise ValueError(f"{names} has no effect {because}; leave it out")


def _gguf(run: Path, kind: str, out: Path | None) -> Path:
    case = read(run)
    path = out or run / "export" / f"{case.header.name}-{kind}.gguf"
    if path.suffix != ".gguf":
        raise ValueError(f"--out {path}: the file of a model for llama.cpp ends in .gguf")
    from alignwright.model.gguf_file import write_gguf

    return write_gguf(load_model(run), path, kind, facts=_facts(case))


def _ollama(run: Path, kind: str, out: Path | None) -> tuple[Path, list[str]]:
    case, place, model = read(run), out or run / "export" / "ollama", model_folder(run)
    return write_ollama(load_model(run), model, place, kind, ours=out is None, facts=_facts(case))


def _facts(case: RunResults) -> dict[str, str]:
    """What the card says of the model, under the card's own names."""
    front = front_matter(case)
    terms = {
        name: str(front[name]) for name in ("license", "license_name", "license_link", "base_model") if name in front
    }
    return {"name": case.header.name} | terms
