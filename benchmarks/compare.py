"""Are two logs of 100,000 samples compared in under 10 CPU-seconds?

`python benchmarks/compare.py [--quick]` writes two of lm-eval's sample files and two of Inspect's logs, compares each
pair in a process of its own, and prints one JSON line with `"targets": {name: [CPU-seconds, aim, met]}`; it exits 1
where one is missed. `--quick` takes 20,000 samples and a fifth of the aim.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SAMPLES, AIM = 100_000, 10.0


def lm_eval(path: Path, count: int, every: int) -> Path:
    with path.open("w") as file:
        for i in range(count):
            right = float(i % every != 0)
            row = {"doc_id": i, "doc": {"question": f"question {i} " * 20}, "target": "1", "doc_hash": f"{i:064x}",
                   "arguments": {"gen_args_0": {"arg_0": f"Q: question {i} " * 20}}, "resps": [["a reply " * 20]],
                   "filtered_resps": ["1"], "filter": "none",
                   "metrics": ["exact_match"], "exact_match": right}  # fmt: skip
            file.write(json.dumps(row) + "\n")
    return path


def inspect_log(path: Path, count: int, every: int) -> Path:
    entries = [
        {"id": i, "epoch": 1, "input": f"question {i} " * 20, "target": "1", "metadata": {"topic": f"t{i // 10}"},
         "scores": {"match": {"value": "C" if i % every else "I", "answer": "1", "explanation": "why " * 10}}}
        for i in range(count)
    ]  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for entry in entries:
            output = {"choices": [{"message": {"role": "assistant", "content": "a reply " * 20}}]}
            file.writestr(f"samples/{entry['id']}_epoch_1.json", json.dumps({**entry, "output": output}))
        file.writestr("summaries.json", json.dumps(entries))
        file.writestr("header.json", json.dumps({"status": "success"}))
    return path


def cpu_seconds(a: Path, b: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = f"import alignwright as aw; aw.compare({str(a)!r}, {str(b)!r}, margin=0.02, quiet=True)"
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    count, aim = (SAMPLES // 5, AIM / 5) if quick else (SAMPLES, AIM)
    targets: dict[str, list[object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, write, end in (("lm_eval", lm_eval, "jsonl"), ("inspect", inspect_log, "eval")):
            files = [write(Path(folder) / f"{side}.{end}", count, every) for side, every in (("a", 5), ("b", 4))]
            seconds = round(cpu_seconds(*files), 2)
            targets[name] = [seconds, aim, seconds < aim]
    print(json.dumps({"samples": count, "targets": targets}))
    return 0 if all(target[2] for target in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
