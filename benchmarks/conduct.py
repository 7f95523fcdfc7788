"""How long do all measures of conduct take on one core, and how much faster are they than asking each item through
`generate`?

`python benchmarks/conduct.py [FAMILY ...] [--dtypes bfloat16 float32] [--quick] [--avx2] [--keep FOLDER]` audits the
bundled model by `examples/conduct.yaml` and every other kind of conduct that there is (or by those that are named), at
`effort: demo` on one thread, and prints one JSON line with `"targets": {name: [value, aim, met]}`; it exits 1 where one
is missed. FOLDER keeps the runs with their reports.

- `minutes_DTYPE`: CPU-seconds of the whole audit, from loading the model to the written report, at most ten minutes.
- `times_generate_DTYPE`: what was asked of the model is recorded as it is asked, and every so many-th question
  (`--every`) is asked again in the same process by the simplest good way through transformers: one question after the
  other, the same precision, `generate` with its cache for replies, and one forward pass for each option whose
  log-probability is wanted, logits of its own tokens alone. CPU-seconds of that, times `--every`, over ours for asking.

`differ` is the largest difference of a log-probability (nats) between the two ways, and `same_replies` the share of
greedy replies that are the same. Recorded logs ask no model. `--quick`: `limit: 8` where a kind has a limit.
`--avx2` hides AVX-512 and measures float32 alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, get_args

import yaml

from alignwright.measure.conduct.knobs import AnyConduct

sys.path.insert(0, str(Path(__file__).parent))
from attack import asked, model, without_avx512

MINUTES, TIMES = 10.0, 3.0
EXAMPLE = Path(__file__).parents[1] / "examples" / "conduct.yaml"
NEEDS: dict[str, dict[str, Any]] = {"transcripts": {"data": "logs.jsonl"}}
"""What a kind of conduct that the example does not have needs beside its name; the kinds are those of the package."""
FEW = 8
AUDIT = """
import json, sys, time, torch
import alignwright as aw
from alignwright.job import model_store
from alignwright.measure import run as measures
from alignwright.model.local_model import LocalModel
at = json.load(sys.stdin)
torch.set_num_threads(1)
load, measure = model_store.load, measures.measure_conduct
model_store.load = lambda name, **given: load(name, **given | {"dtype": at["dtype"]})
asks, inside, seconds, whole = [], [], {}, {}
family = [""]
def measured(stage, job):
    family[0], began = stage.by, time.process_time()
    result = measure(stage, job)
    whole[stage.by] = whole.get(stage.by, 0.0) + time.process_time() - began
    family[0] = ""
    return result
measures.measure_conduct = measured
def recorded(name):
    call = getattr(LocalModel, name)
    def method(self, texts, *others, **options):
        if inside:
            return call(self, texts, *others, **options)
        inside.append(name)
        began = time.process_time()
        results = call(self, texts, *others, **options)
        seconds[family[0]] = seconds.get(family[0], 0.0) + time.process_time() - began
        inside.clear()
        with torch.inference_mode():
            asks.extend(rows(self, name, texts, others, options, results))
        return results
    setattr(LocalModel, name, method)
def rows(policy, name, texts, others, options, results):
    if name == "generate":
        for prompt, replies in zip(texts, results):
            most, warm = options.get("max_new_tokens", 128), options.get("temperature", 1.0)
            for reply in replies:
                yield family[0], policy._prompt_ids(prompt), (most, warm), reply.text
    elif name == "text_logprobs":
        for text, result in zip(texts, results):
            row = policy.chat.text(text)
            yield family[0], list(row.prompt), list(row.replies[0]), result.total
    else:
        tokens = policy.chat.continuation if name == "continuation_logprobs" else policy.chat.row
        for text, those, group in zip(texts, others[0], results):
            row = tokens(text, those, **options)
            for reply, result in zip(row.replies, group):
                yield family[0], list(row.prompt), list(reply), result.total
for name in ("generate", "logprobs", "continuation_logprobs", "text_logprobs"):
    recorded(name)
began = time.process_time()
aw.audit(at["spec"], model=at["model"], runs=at["runs"], quiet=True)
audit = time.process_time() - began
from transformers import AutoModelForCausalLM, AutoTokenizer
peer = AutoModelForCausalLM.from_pretrained(at["folder"], dtype=getattr(torch, at["dtype"])).eval()
tokenizer = AutoTokenizer.from_pretrained(at["folder"])
torch.manual_seed(7)
loop, differ, same = {}, [0.0], []
def answer(ids, options):
    if isinstance(options, tuple):
        most, warm = options
        how = {"do_sample": True, "temperature": warm, "top_k": 0, "top_p": 1.0} if warm else {"do_sample": False}
        row = torch.tensor([ids])
        out = peer.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=most, use_cache=True, **how)
        return tokenizer.decode(out[0, len(ids):], skip_special_tokens=True)
    logits = peer(torch.tensor([ids + options]), logits_to_keep=len(options) + 1).logits[0, :-1]
    return float(logits.float().log_softmax(-1).gather(1, torch.tensor(options)[:, None]).sum())
with torch.inference_mode():
    answer(asks[0][1], asks[0][2])
    for of, ids, options, value in asks[:: at["every"]]:
        began = time.process_time()
        result = answer(ids, options)
        loop[of] = loop.get(of, 0.0) + (time.process_time() - began) * at["every"]
        if isinstance(options, tuple):
            same += [result.strip() == value.strip()] if not options[1] else []
        else:
            differ.append(abs(result - value))
counts = {of: sum(ask[0] == of for ask in asks) for of in whole}
print(json.dumps({"audit": audit, "whole": whole, "asking": seconds, "loop": loop, "asked": counts,
                  "differ": max(differ), "same_replies": sum(same) / len(same) if same else None}))
"""


def kinds() -> list[str]:
    """The kinds of conduct that the package has."""
    return [get_args(kind.model_fields["by"].annotation)[0] for kind in get_args(AnyConduct)]


def write_spec(folder: Path, families: list[str], *, quick: bool) -> Path:
    """One spec with these measures, and logs for those that read some."""
    spec: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    named = {stage["by"]: stage for stage in spec["measure"]}
    limits = {name for name, kind in zip(kinds(), get_args(AnyConduct), strict=True) if "limit" in kind.model_fields}
    spec["measure"] = [
        {"by": name} | NEEDS.get(name, {}) | named.get(name, {})
        | ({"limit": FEW} if quick and name in limits - {"transcripts"} else {})
        for name in families
    ]  # fmt: skip
    spec["promises"] = [text for text in spec["promises"] if text.partition(".")[0] in families]
    copy = folder / "quickstart"  # the example's files are named beside it
    copy.symlink_to(EXAMPLE.parent / "quickstart")
    logs = [
        {"prompt": f"Write a function that adds {i} to x.", "reply": f"```python\ndef f(x):\n    return x + {i}\n```"}
        for i in range(1000)
    ]
    (folder / "logs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in logs))
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def compared(run: dict[str, Any]) -> dict[str, Any]:
    """CPU-seconds of each family beside the loop's, and in all."""
    families = {
        name: {
            "seconds": round(seconds, 1), "asking": round(run["asking"].get(name, 0.0), 1), "asked": run["asked"][name],
            "times": round(run["loop"].get(name, 0.0) / run["asking"][name], 2) if run["asked"][name] else None,
        }
        for name, seconds in run["whole"].items()
    }  # fmt: skip
    times = sum(run["loop"].values()) / sum(run["asking"].values()) if run["loop"] else None
    return {
        "families": families, "audit_seconds": round(run["audit"], 1), "times": times, "differ": run["differ"],
        "same_replies": run["same_replies"],
    }  # fmt: skip


def targets_of(results: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """Minutes and ratio of each precision beside the aims; a ratio only where a model was asked."""
    targets: dict[str, list[Any]] = {}
    for dtype, result in results.items():
        minutes, times = result["audit_seconds"] / 60, result["times"]
        targets[f"minutes_{dtype}"] = [round(minutes, 2), MINUTES, minutes <= MINUTES]
        if times is not None:
            targets[f"times_generate_{dtype}"] = [round(times, 2), TIMES, times >= TIMES]
    return targets


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="how fast are measures of conduct?")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(kinds()))
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["bfloat16", "float32"])
    parser.add_argument("--every", type=int, help="the loop asks one question in so many (24; 4 with --quick)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder in which the runs stay")
    parser.add_argument("--avx2", action="store_true", help="float32 without AVX-512")
    options = parser.parse_args(arguments)
    if unknown := set(options.families) - set(kinds()):
        parser.error(f"no kind of conduct {', '.join(sorted(unknown))}; there are {', '.join(kinds())}")
    every, results = options.every or (4 if options.quick else 24), dict[str, dict[str, Any]]()
    with without_avx512() if options.avx2 else contextlib.nullcontext(), tempfile.TemporaryDirectory() as temporary:
        spec = write_spec(Path(temporary), options.families or kinds(), quick=options.quick)
        for dtype in ["float32"] if options.avx2 else options.dtypes:
            print(f"{dtype} ...", file=sys.stderr, flush=True)
            runs = (options.keep or Path(temporary)) / dtype
            at = {"spec": str(spec), "runs": str(runs.absolute()), "dtype": dtype, "every": every, "folder": model()}
            results[dtype] = compared(asked(sys.executable, AUDIT, at | {"model": "smollm2-135m-instruct"}))
    targets = targets_of(results)
    shown = {"instructions": "AVX2" if options.avx2 else "all", "quick": options.quick, "every": every}
    print(json.dumps({**shown, **results, "targets": targets}))
    return 0 if all(met for _, _, met in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
