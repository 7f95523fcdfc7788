"""Probes: a planted direction is found again and nothing where none is, each fit is what its formula says, the battery
refuses what the words alone or chance would give, and a probe on disk is the probe."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from torch import Tensor

from alignwright.core.promises import answer, parse
from alignwright.files.labelled_texts import LabelledText
from alignwright.files.sources import read_items
from alignwright.lens.probe.battery import ProbeResult, Texts, examine
from alignwright.lens.probe.file_format import load_probe, save_probe
from alignwright.lens.probe.fit import PENALTY, Probe, fit, standardised
from alignwright.lens.probe.split import split
from alignwright.model.activations.edits import Add, edited, random_direction, unit
from alignwright.model.activations.last_states import last_states
from alignwright.model.activations.sites import Site
from alignwright.model.load import load

METHODS = ("logistic", "lda", "mean_difference")
WORDS = (
    "sun", "rain", "bread", "stone", "river", "cloud", "paper", "grass", "wheel", "candle", "window", "garden", "lamp",
    "road", "tree", "fish",
)  # fmt: skip


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def planted(seed: int, strength: float, n: int = 160, size: int = 48) -> Texts:
    """Texts of 16 topics whose words say nothing of their label; the state at layer 1 carries it, at layer 0 never."""
    labels = [bool(i % 2) for i in range(n)]
    direction = unit(numbers(1000 + seed, size))
    signs = torch.tensor([1.0 if label else -1.0 for label in labels])[:, None]
    states = {0: numbers(seed, n, size), 1: numbers(seed + 1, n, size) + strength * signs * direction}
    topics = [f"t{(i // 2) % 16}" for i in range(n)]
    texts = [f"{WORDS[(i // 2 + seed) % 16]} {WORDS[(i // 10) % 16]}" for i in range(n)]
    items = [f"{seed} {i}" for i in range(n)]
    return Texts(texts, items, topics, labels, states, dict.fromkeys(states, torch.empty(0, size)))


def tried(texts: Texts, method: str = "logistic") -> ProbeResult:
    parts = split(texts.topics, texts.positive, texts.items)
    return examine(texts, parts, method)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_planted_direction_is_found_again_at_its_layer(method: str) -> None:
    texts = planted(3, 2.0, n=600)
    result = tried(texts, method)
    cosine = float(unit(result.probe.weights) @ unit(numbers(1003, 48)))
    assert result.layer == 1
    assert cosine > (0.95 if method != "logistic" else 0.9)
    assert result.verdict[0] == "signal"
    assert result.area.value is not None
    assert result.area.value > 0.95 > result.random_q95
    held_out = {texts.topics[i] for i in result.split.test}
    assert not held_out & {texts.topics[i] for i in (*result.split.fit, *result.split.choose)}


def test_nothing_is_found_where_nothing_is() -> None:
    """Two layers are looked at each time; a signal on no signal is an error, of which one in twenty is allowed."""
    verdicts = [tried(planted(100 + seed, 0.0), "lda").verdict[0] for seed in range(40)]
    assert verdicts.count("signal") <= 2
    assert [tried(planted(100 + seed, 2.0), "lda").verdict[0] for seed in range(8)].count("signal") == 8  # the control


def test_few_topics_are_no_clusters() -> None:
    """Two topics held out say nothing of the spread between topics: their interval is of the texts."""
    texts = planted(4, 1.0)
    few = Texts(
        texts.texts, texts.items, [f"t{i % 5}" for i in range(160)], texts.positive, texts.states, texts.control
    )
    result = tried(few)
    assert result.clusters == tuple(few.items[i] for i in result.split.test)
    assert len(result.area.influence) == len(result.split.test)
    many = Texts(
        texts.texts, texts.items, [f"t{(i // 2) % 20}" for i in range(160)], texts.positive, texts.states, texts.control
    )
    assert len(tried(many).area.influence) == 6


def test_shuffled_labels_do_not_beat_the_battery() -> None:
    texts = planted(5, 2.0)
    order = torch.randperm(160, generator=torch.Generator().manual_seed(2)).tolist()
    shuffled = Texts(
        texts.texts, texts.items, texts.topics, [texts.positive[i] for i in order], texts.states, texts.control
    )
    verdict, why = tried(shuffled).verdict
    assert verdict == "no_signal"
    assert "random direction" in why or "one half" in why


def test_what_the_words_tell_is_no_signal() -> None:
    texts = planted(6, 2.0)
    spoken = Texts(
        [f"{text} {'truly' if label else 'never'}" for text, label in zip(texts.texts, texts.positive, strict=True)],
        texts.items, texts.topics, texts.positive, texts.states, texts.control,
    )  # fmt: skip
    result = tried(spoken)
    assert result.words.value == 1.0
    assert result.verdict[0] == "no_signal"
    assert "the words alone come to 1.00" in result.verdict[1]


def test_a_control_that_the_probe_takes_for_the_concept_is_told() -> None:
    texts = planted(7, 2.0)
    trigger = texts.states[1][torch.tensor(texts.positive)][:40]
    result = tried(
        Texts(texts.texts, texts.items, texts.topics, texts.positive, texts.states, {0: trigger, 1: trigger * 2})
    )
    assert result.control is not None
    assert "tells the control" in result.verdict[1]


def test_an_inverted_direction_is_said_and_not_turned() -> None:
    """Topics that are held out carry the direction with the other sign."""
    texts = planted(8, 0.0)
    out = set(split(texts.topics, texts.positive, texts.items).test)
    signs = torch.tensor([(1.0 if p else -1.0) * (-1.0 if i in out else 1.0) for i, p in enumerate(texts.positive)])
    states = {1: texts.states[1] + 2.0 * signs[:, None] * unit(numbers(9, 48))}
    result = tried(Texts(texts.texts, texts.items, texts.topics, texts.positive, states, {1: torch.empty(0, 48)}))
    assert result.area.value is not None
    assert result.area.value < 0.1
    assert result.verdict[0] == "inverted"


def test_each_fit_is_what_its_formula_says() -> None:
    states_NH = numbers(1, 90, 6) * torch.tensor([1.0, 5, 0.1, 1, 2, 3]) + 4
    positive_N = states_NH[:, 1] + 3 * numbers(2, 90) > 4
    one, other = states_NH[positive_N].double().mean(0), states_NH[~positive_N].double().mean(0)
    mean = fit("mean_difference", states_NH, positive_N)
    assert torch.allclose(mean.weights.double(), one - other, atol=1e-5)
    assert float(mean.score(((one + other) / 2)[None].float())) == pytest.approx(0, abs=1e-3)
    # the gradient of the penalised loss is 0 at its least, in the coordinates in which the penalty is meant
    logistic = fit("logistic", states_NH, positive_N)
    scaled_NH, mean_H, deviation_H = standardised(states_NH)
    weights_H = logistic.weights.double() * deviation_H
    bias = logistic.bias + float(logistic.weights.double() @ mean_H)
    sign_N = torch.where(positive_N, 1.0, -1.0).double()
    slope_N = -sign_N * torch.sigmoid(-sign_N * (scaled_NH @ weights_H + bias))
    assert float((scaled_NH.T @ slope_N + PENALTY * weights_H).abs().max()) < 1e-3
    assert abs(float(slope_N.sum())) < 1e-3
    # two kinds that share a covariance, and many texts: the discriminant is S^-1 (m1 - m0)
    mixing_HH = numbers(3, 4, 4).double()
    labels_N = torch.arange(40000) % 2 == 0
    states_NH = numbers(4, 40000, 4).double() @ mixing_HH + labels_N[:, None] * torch.tensor([1.0, 0, -1, 2])
    best_H = torch.linalg.solve(mixing_HH.T @ mixing_HH, torch.tensor([1.0, 0, -1, 2]).double())
    cosine = unit(fit("lda", states_NH, labels_N).weights) @ unit(best_H.float())
    assert float(cosine) > 0.8  # shrunk towards the mean variance
    with pytest.raises(ValueError, match="all 9 texts are positive"):
        fit("lda", numbers(0, 9, 3), torch.ones(9, dtype=torch.bool))


def test_a_direction_planted_in_a_model_is_found_by_reading_its_texts(tmp_path: Path) -> None:
    """The model itself adds a direction to its stream where it reads the positive texts."""
    policy = load(make_tiny(tmp_path, num_hidden_layers=3))
    texts = [f"the {WORDS[(i // 2) % 16]} of {WORDS[(i // 32) % 16]}" for i in range(160)]  # each is of both kinds
    direction = random_direction(32, 4, 8.0)
    plain = last_states(policy, texts, [0, 1, 2])
    with edited(policy, [Add(Site(1), direction)]):
        moved = last_states(policy, texts, [0, 1, 2])
    labels = torch.arange(160) % 2 == 0
    states = {layer: torch.where(labels[:, None], moved[layer], plain[layer]) for layer in (0, 1, 2)}
    probe = fit("mean_difference", states[2], labels)
    later = (moved[2] - plain[2]).mean(0)
    assert float(unit(probe.weights) @ unit(later)) > 0.95
    assert torch.equal(states[0], plain[0])  # a capture before the edit is untouched
    nothing = fit("mean_difference", plain[2], labels)
    assert float(nothing.weights.norm()) < 1e-4 * float(probe.weights.norm())


def test_a_probe_on_disk_is_the_probe(tmp_path: Path) -> None:
    policy, other = load(make_tiny(tmp_path / "a")), load(make_tiny(tmp_path / "b", seed=1))
    probe = Probe(numbers(1, 32), 0.25)
    save_probe(probe, 1, policy, tmp_path / "probe", {"concept": "truth"})
    again, layer = load_probe(tmp_path / "probe", policy)
    assert layer == 1
    assert torch.equal(again.weights, probe.weights)
    assert again.bias == probe.bias
    sidecar = json.loads((tmp_path / "probe" / "probe.json").read_text())
    assert (sidecar["polarity"], sidecar["location"], sidecar["meta"]["concept"]) == (
        "positives_high",
        "layer_output",
        "truth",
    )
    with pytest.raises(ValueError, match="a probe of another model"):
        load_probe(tmp_path / "probe", other)
    (tmp_path / "probe" / "probe.json").write_text(json.dumps(sidecar | {"polarity": "negatives_high"}))
    with pytest.raises(ValueError, match="'polarity': 'negatives_high'"):
        load_probe(tmp_path / "probe")
    (tmp_path / "probe" / "probe.json").write_text(json.dumps(sidecar))
    file = tmp_path / "probe" / "probe.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="no whole safetensors file"):
        load_probe(tmp_path / "probe", policy)


def test_labels_are_read_as_files_have_them(tmp_path: Path) -> None:
    path = tmp_path / "facts.csv"
    path.write_text('statement,label,city\n"Lodz is in Poland.",1,Lodz\n"Lodz is in Peru.",0,Lodz\n')
    assert [(row.text, row.label) for row in read_items(path, LabelledText).rows] == [
        ("Lodz is in Poland.", "positive"), ("Lodz is in Peru.", "negative"),
    ]  # fmt: skip
    own = tmp_path / "own.jsonl"
    rows = [
        {"prompt": "Hi", "label": True},
        {"text": "No.", "label": 0, "topic": "t"},
        {"text": "x", "label": "control"},
    ]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row.label for row in read_items(own, LabelledText).rows] == ["positive", "negative", "control"]
    own.write_text(json.dumps({"text": "x", "label": "maybe"}) + "\n")
    with pytest.raises(Exception, match="label"):
        read_items(own, LabelledText)


def test_a_promise_on_no_signal_is_untested() -> None:
    from alignwright.core.records import Finding

    finding = Finding(
        claim="probe.truth.auroc", stage="baseline", axis="inside", value=0.9, low=0.8, high=0.95, n=40, method="m",
        unit="AUROC", better=None,
    )  # fmt: skip
    promise = parse("probe.truth.auroc > 0.6")
    assert answer(promise, [finding]).answer == "kept"
    quiet = finding.model_copy(update={"detail": {"no_signal": "the words alone come to 0.95"}})
    verdict = answer(promise, [quiet])
    assert verdict.answer == "untested"
    assert "the words alone come to 0.95" in verdict.reason
    assert not math.isnan(quiet.value or 0)
