"""What do an export to GGUF and its promises answered again cost, beside an audit of the same file from scratch?

`python benchmarks/export.py [--quick] [--engine NAME] [--project FOLDER [--run RUN]] [--avx2]` aligns the bundled
model by the quickstart's spec with a short training of its own, exports it to `gguf:q8_0` through each engine, audits
the file that was written, each with a cache of its own that is empty, and prints one JSON line with
`"targets": {engine: [share of the audit's CPU-seconds, aim, met]}`; it exits 1 where one is missed. Each is a process
of its own, and its children count: llama.cpp's server is one. The kernels, which a machine compiles once, are there
before the first. `--quick` asks 12 of each kind of question; FOLDER keeps
the project with its run, and a run that is there is taken, or RUN, the folder of one by the spec in FOLDER. `--avx2`
hides AVX-512.

The aim is beside what a user would type: `alignwright audit SPEC --model FILE.gguf`, every question of the spec. An
export asks what the promises rest on and no more: of the quickstart the measures instruction (96 tasks), intent, the
refusals of value and tax, without value's pairs, the summaries and the attack. So two more shares stand beside it under
`"same questions"`: `promised`, the same export beside an audit of a spec of these questions alone, and with `--ask all`
`all`, an export that asks every question beside the audit of the aim. The audit reads and answers each question anew;
the export has the stored replies as drafts and reads what texts share once. Through llama.cpp neither side is asked
what needs log-probabilities of given texts.
Comparing two logs is benchmarks/compare.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from attack import ENVIRONMENT, without_avx512

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart"
AIMS = {"transformers": 0.5, "llama.cpp": 1.0}
FEW = 12
KERNELS = """
import torch
from alignwright.model.kernels import kernels
for dtype in (torch.float32, torch.bfloat16):
    kernels(torch.zeros(1, dtype=dtype))
"""
EXPORT = """
import sys, alignwright as aw
run, out, engine, spec_folder, ask = sys.argv[1:]
verification = aw.export(
    run, to="gguf:q8_0", out=out, engine=engine, spec_folder=spec_folder, ask=ask, quiet=True
).verification
print("same", *verification.same_replies, "changed", sum(p.changed for p in verification.promises))
"""
AUDIT = """
import sys, alignwright as aw
spec, runs, model = sys.argv[1:]
aw.audit(spec, model=model, runs=runs, quiet=True)
"""
AUDIT_SERVED = """
import sys, os
from pathlib import Path
import alignwright as aw
from alignwright.run.export.verify import CALLS, CONTEXT
from alignwright.run.llama_cpp import serving
spec, runs, model = sys.argv[1:]
with serving(Path(model), slots=CALLS, context=CONTEXT, threads=max(1, (os.cpu_count() or 2) // 2)) as (address, _):
    aw.audit(spec, model=f"{address}/v1#m", runs=runs, overrides=[f"server.calls={CALLS}"], quiet=True)
"""


def project(folder: Path, few: int | None) -> Path:
    """The quickstart with a short training that needs no voters but the written examples; returns its spec."""
    shutil.copytree(QUICKSTART, folder)
    path = folder / "spec.yaml"
    spec: dict[str, Any] = yaml.safe_load(path.read_text())
    spec["intent"]["pairs"], spec["feedback"] = ["train/values.jsonl"], [{"by": "written"}]
    del spec["collect"], spec["intent"]["prompts"]
    spec["train"] = [{"by": "sft", "data": "chosen", "epochs": 1, "lr": 0.0005}]
    for stage in (*spec["measure"], *spec["attack"]) if few else ():
        stage["limit"] = min(few or 0, stage.get("limit", FEW))
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def promised_alone(spec: Path) -> Path:
    """The spec with the questions alone that its promises rest on, beside it; returns its path."""
    from alignwright.experiment.load import load
    from alignwright.job.job import stage_name
    from alignwright.run.export.promised import SECTIONS, asked_again

    parts: dict[str, Any] = yaml.safe_load(spec.read_text())
    experiment = load(spec)
    questions = asked_again(experiment, experiment.promises)
    for section in SECTIONS:
        stages: list[dict[str, Any]] = parts.pop(section, [])
        fewer = getattr(questions.experiment, section)
        parts[section] = [
            {knob: value for knob, value in stage.items() if getattr(fewer[place], knob, None) != ()}
            for place, stage in enumerate(stages)
            if stage_name(section, place, stage["by"]) in questions.stages
        ]
    parts["promises"] = []
    path = spec.with_name("promised.yaml")
    path.write_text(yaml.safe_dump(parts, sort_keys=False))
    return path


def cpu_seconds(program: str, cache: Path, *words: Path | str) -> float:
    """Of a process and its children, from an empty cache of dequantised models; what it prints goes to
    the terminal's error stream."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command, places = [sys.executable, "-c", program, *map(str, words)], {"ALIGNWRIGHT_CACHE": str(cache)}
    subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | ENVIRONMENT | places)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--engine", choices=tuple(AIMS), action="append")
    parser.add_argument("--ask", choices=("promised", "all"), default="promised")
    parser.add_argument("--project", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--avx2", action="store_true", help="without AVX-512")
    options = parser.parse_args()
    with without_avx512() if options.avx2 else contextlib.nullcontext(), tempfile.TemporaryDirectory() as temporary:
        result = measured(options, Path(temporary))
    print(json.dumps({"instructions": "AVX2" if options.avx2 else "all", "quick": options.quick} | result))
    return 0 if all(target[2] for target in result["targets"].values()) else 1


def measured(options: argparse.Namespace, temporary: Path) -> dict[str, Any]:
    folder = options.project or temporary / "project"
    there = (folder / "spec.yaml").exists()
    spec = folder / "spec.yaml" if there else project(folder, FEW if options.quick else None)
    import alignwright as aw

    cpu_seconds(KERNELS, temporary)
    run = options.run or aw.align(spec, runs=folder / "runs", quiet=True).path
    seconds: dict[str, dict[str, float]] = {}
    targets: dict[str, list[object]] = {}
    same: dict[str, dict[str, float]] = {}
    for engine, audit in (("transformers", AUDIT), ("llama.cpp", AUDIT_SERVED)):
        if engine not in (options.engine or AIMS):
            continue
        place = temporary / engine
        file, spent = place / "model.gguf", seconds.setdefault(engine, {})

        def note(
            what: str, program: str, *words: Path | str, place: Path = place, spent: dict[str, float] = spent
        ) -> float:
            spent[what] = round(cpu_seconds(program, place / what, *words), 1)
            print(place.name, what, spent[what], file=sys.stderr, flush=True)
            return spent[what]

        export = note("export", EXPORT, run, file, engine, spec.parent, "promised")
        whole = note("audit", audit, spec, place / "runs" / "whole", file)
        fewer = note("audit of the same", audit, promised_alone(spec), place / "runs" / "same", file)
        share, same[engine] = round(export / whole, 2), {"promised": round(export / fewer, 2)}
        if options.ask == "all":
            every = note("export of all", EXPORT, run, place / "all.gguf", engine, spec.parent, "all")
            same[engine]["all"] = round(every / whole, 2)
        targets[engine] = [share, AIMS[engine], share <= AIMS[engine]]
    return {"seconds": seconds, "same questions": same, "targets": targets}


if __name__ == "__main__":
    sys.exit(main())
