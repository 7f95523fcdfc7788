"""What does it cost to read and check preference rows, beside an earlier version of this package
and beside `datasets`?

`python benchmarks/reading.py [--quick]` writes 100,000 pairs (10,000 with --quick) and 1,000
held-out prompts, and takes CPU-seconds without imports, the least of three turns in which all take
part one after another, each in a process of its own. The same pairs are read in three shapes: a
prompt and replies as texts (`text`), as lists of messages (`messages`), and as two whole
transcripts (`dialogues`); the earlier version reads the first alone.

- ours: `check` of a spec, with every check: form, limits, names that stand twice, duplicates,
  contamination, bad rows with file and line
- earlier: the same call of the package at commit ccebb6e, from the history (skipped where there is
  none)
- peer: `datasets.load_dataset("json")` with an empty cache, then each row once as Python's own
  dict, which is where ours begins; its loading alone, which leaves the rows in Arrow and looks at
  none, stands beside it

First two rows are spoilt to see that the checks are on: an error must name both. One JSON line;
exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
EARLIER = "ccebb6e"
TARGETS = {"of_earlier": 0.5, "of_peer": 2.0}
SHAPES = ("text", "messages", "dialogues")
TURNS = 3
WORDS = (
    "the",
    "river",
    "of",
    "and",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
)
SPEC = (
    "name: reading\nmodel: owner/name\nintent: {pairs: [pairs.jsonl]}\nfeedback: [{by: written}]\ntrain: [{by: dpo}]\n"
)
SPEC += "measure: [{by: value, prompts: [held.jsonl]}]\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10,000 rows")
    rows = 10_000 if parser.parse_args().quick else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        earlier = _earlier(folder)
        shapes: dict[str, dict[str, float]] = {}
        checks_on = True
        for shape in SHAPES:
            _write(folder / shape, rows, shape)
            checks_on = checks_on and (shape != "text" or _finds_what_is_planted(folder / shape, rows))
            shapes[shape] = _least(folder / shape, rows, earlier if shape == "text" else None)
    ratios = {
        shape: {f"of_{who}": round(least["ours"] / took, 2) for who, took in least.items() if who != "ours"}
        for shape, least in shapes.items()
    }
    missed = [
        f"{shape}.{name}"
        for shape, held in ratios.items()
        for name, most in TARGETS.items()
        if name in held and held[name] > most
    ] + ([] if checks_on else ["checks_on"])
    rounded = {shape: {who: round(took, 2) for who, took in least.items()} for shape, least in shapes.items()}
    skipped = {} if earlier else {"skipped": f"earlier: the history does not hold {EARLIER}"}
    skipped |= {} if "peer" in shapes["text"] else {"skipped_peer": "datasets is not installed"}
    about = {"rows": rows, "cpu_seconds": rounded, "ratios": ratios, "checks_on": checks_on, **skipped}
    print(json.dumps({"benchmark": "reading", **about, "targets": TARGETS, "missed": missed}))
    return 1 if missed else 0


def _least(folder: Path, rows: int, earlier: Path | None) -> dict[str, float]:
    """The least CPU-seconds of each, over turns in which all take part."""
    sources = {"ours": ROOT / "src"} | ({"earlier": earlier} if earlier else {})
    seconds: dict[str, list[float]] = {}
    for turn in range(TURNS):
        for who, source in sources.items():
            code = OURS if who == "ours" else OURS.replace("alignwright.experiment.check", "alignwright.spec.check")
            seconds.setdefault(who, []).append(_child(code, source, folder / "spec.yaml", rows)["seconds"])
        for part, took in _child(PEER, folder / f"cache{turn}", folder / "pairs.jsonl", rows).items():
            seconds.setdefault(part, []).append(took)
    return {who: min(times) for who, times in seconds.items()}


def _shaped(row: dict[str, str], shape: str) -> dict[str, object]:
    prompt, about = row["prompt"], {"topic": row["topic"]}
    if shape == "text":
        return dict(row)
    if shape == "messages":
        replies = {name: [{"role": "assistant", "content": row[name]}] for name in ("chosen", "rejected")}
        return {"prompt": [{"role": "user", "content": prompt}], **replies, **about}
    sides = {name: f"\n\nHuman: {prompt}\n\nAssistant: {row[name]}" for name in ("chosen", "rejected")}
    return {**sides, **about}


def _write(folder: Path, rows: int, shape: str = "text") -> None:
    folder.mkdir(exist_ok=True)
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(draw.choices(WORDS, k=count))

    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for n in range(rows):
            row = {"prompt": f"{n} {words(20)}?", "chosen": words(60), "rejected": words(50), "topic": f"t{n % 50}"}
            file.write(json.dumps(_shaped(row, shape)) + "\n")
    held = ({"prompt": f"held {n} {words(20)}?", "kind": ("harmful", "harmless")[n % 2]} for n in range(1000))
    (folder / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    (folder / "spec.yaml").write_text(SPEC)


def _finds_what_is_planted(folder: Path, rows: int) -> bool:
    """Whether a copy with a row of two equal replies, and another with a held-out prompt among
    the pairs, is refused at the right line."""
    other = folder / "spoilt"
    other.mkdir()
    lines = (folder / "pairs.jsonl").read_text().split("\n")[:-1]
    held = json.loads((folder / "held.jsonl").read_text().split("\n")[0])
    place = rows - rows // 3
    spoilt = {"chosen": "same", "rejected": "same"}, {"prompt": held["prompt"].upper().replace("?", "\u200b")}
    told: list[str] = []
    for change in spoilt:
        found = [*lines]
        found[place] = json.dumps(json.loads(lines[place]) | change)
        (other / "pairs.jsonl").write_text("\n".join(found) + "\n")
        for name in ("held.jsonl", "spec.yaml"):
            (other / name).write_text((folder / name).read_text())
        told.append(_child(TOLD, ROOT / "src", other / "spec.yaml", rows)["told"])
    row = f"pairs.jsonl:{place + 1}"
    return (
        f"{row}: chosen and rejected are the same" in told[0]
        and row in told[1]
        and "held.jsonl:1 is measured" in told[1]
    )


def _earlier(folder: Path) -> Path | None:
    done = subprocess.run(["git", "archive", EARLIER, "src"], cwd=ROOT, capture_output=True)
    if done.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder / "earlier", filter="data")
    return folder / "earlier" / "src"


def _child(code: str, where: Path, what: Path, rows: int) -> dict[str, float]:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    if code is not PEER:
        environment["PYTHONPATH"] = str(where)
    done = subprocess.run(
        [sys.executable, "-c", code, str(where), str(what), str(rows)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(done.stdout.strip().split("\n")[-1])


OURS = """
import json, sys, time
import alignwright
from alignwright.experiment.check import check
assert alignwright.__file__.startswith(sys.argv[1]), alignwright.__file__
begun = time.process_time()
report = check(sys.argv[2])
seconds = time.process_time() - begun
assert any(sys.argv[3] + " rows" in line for line in report.lines), report.lines
print(json.dumps({"seconds": seconds}))
"""
TOLD = """
import json, sys
from alignwright.experiment.check import check
from alignwright.files.errors import SpecError
told = ""
try:
    check(sys.argv[2])
except SpecError as error:
    told = str(error)
print(json.dumps({"told": told}))
"""
PEER = """
import json, sys, time
try:
    import datasets
except ImportError:
    print("{}")
    sys.exit()
begun = time.process_time()
held = datasets.load_dataset("json", data_files=sys.argv[2], split="train", cache_dir=sys.argv[1])
loaded = time.process_time()
count = sum(1 for row in held if row["chosen"])
done = time.process_time()
assert count == int(sys.argv[3])
print(json.dumps({"peer_load": loaded - begun, "peer": done - begun}))
"""

if __name__ == "__main__":
    sys.exit(main())
