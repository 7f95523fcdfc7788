"""Token scopes: each names its tokens and no others, what is planted at some is read there alone, and a model that is
steered at some is the same model whether it writes a reply, is given one, or is given several at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tiny import make_tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from model_families import make

from alignwright.core.records import Conversation
from alignwright.core.token_scope import SCOPES, TokenScope
from alignwright.model.activations.capture import capture
from alignwright.model.activations.edits import Ablate, Add, Edit, Rewrite, edited, random_direction
from alignwright.model.activations.fold import fold
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.steering import save_steering
from alignwright.model.activations.token_scope import (
    ScopedRow,
    ScopeMasks,
    scoped_row,
    scoped_states,
    template_tokens,
)
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.sampling import Sample, sample
from alignwright.model.tokens import TokenRow
from alignwright.stats.auroc import auroc

REQUEST = Conversation.user("What is rain?")
ANSWERED = REQUEST.then("assistant", "yes: that is it.")
HEADER = "<|im_end|>\n<|im_start|>assistant\n"
WORDS: dict[TokenScope, str] = {
    "prompt_end": "\n",
    "template": HEADER,
    "prompt": f"<|im_start|>user\nWhat is rain?{HEADER}",
    "reply": "yes: that is it.",
    "all": f"<|im_start|>user\nWhat is rain?{HEADER}yes: that is it.",
}
PROMPTS = [REQUEST, Conversation.user("no"), Conversation.user("a longer question of the model, that it was asked?")]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(make_tiny(tmp_path_factory.mktemp("scope") / "model", num_hidden_layers=3))


def text(policy: LocalModel, ids: list[int]) -> str:
    return policy.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_names_its_tokens(policy: LocalModel, scope: TokenScope) -> None:
    row = scoped_row(policy, ANSWERED, scope)
    assert text(policy, list(row.ids[row.begin : row.end])) == WORDS[scope]
    assert row.end == len(row.ids)  # no further than these is anything read
    if scope not in ("reply", "all"):  # whether a reply follows makes no difference to its prompt
        assert scoped_row(policy, REQUEST, scope) == row


def test_what_a_text_has_not_is_refused(policy: LocalModel) -> None:
    plain = scoped_row(policy, "the model", "all")
    assert text(policy, list(plain.ids[plain.begin :])) == "the model"
    assert scoped_row(policy, "the model", "prompt_end").begin == len(plain.ids) - 1
    with pytest.raises(ValueError, match="a plain text has no prompt and no reply"):
        scoped_row(policy, "the model", "template")
    with pytest.raises(ValueError, match="has no token, so no activations"):
        scoped_row(policy, REQUEST, "reply")
    cut = scoped_row(policy, ANSWERED, "reply", most=2)
    assert cut.end - cut.begin == 2


def test_the_mean_is_over_these_tokens_without_sinks(policy: LocalModel) -> None:
    row = scoped_row(policy, ANSWERED, "all")
    states_TH = capture(layout_of(policy), torch.tensor([row.ids]), [Site(1)])[Site(1)][0].detach()
    half = ScopedRow(row.ids, 4, 9)
    (mean_H,) = scoped_states(policy, [half], [1])[1]
    assert torch.allclose(mean_H, states_TH[4:9].mean(0), atol=1e-5)

    def sink(states_BTH: torch.Tensor) -> torch.Tensor:
        return states_BTH * (1 + 999 * (torch.arange(states_BTH.shape[1]) == 6))[None, :, None]

    with edited(policy, [Rewrite(Site(1), sink)]):
        (mean_H,) = scoped_states(policy, [half], [1])[1]
    assert torch.allclose(mean_H, states_TH[[4, 5, 7, 8]].mean(0), atol=1e-4)


@pytest.mark.parametrize("place", ["template", "reply"])
def test_what_is_planted_at_a_place_is_read_there_alone(policy: LocalModel, place: TokenScope) -> None:
    """At one token of the last block, so that no other token sees it, by the label."""
    direction, labels = random_direction(32, 7, 20.0), [i % 2 == 0 for i in range(20)]
    talks = [Conversation.user(f"rain {i:02d}").then("assistant", f"so {i:02d}") for i in range(20)]
    row = scoped_row(policy, talks[0], place)
    where = row.begin + 1
    planted = torch.tensor(labels)

    def plant(states_BTH: torch.Tensor) -> torch.Tensor:
        states_BTH = states_BTH.clone()
        states_BTH[planted, where] += direction
        return states_BTH

    for scope in SCOPES:
        rows = [scoped_row(policy, talk, scope) for talk in talks]  # all of one length: one batch, in order
        with edited(policy, [Rewrite(Site(2), plant)] if rows[0].end > where else []):
            states_NH = scoped_states(policy, rows, [2])[2]
        area = auroc((states_NH @ direction).tolist(), labels).value or 0.0
        if scope == place or scope in ("all", *(["prompt"] if place == "template" else [])):
            assert area == 1.0
        else:
            assert 0.2 < area < 0.8


def within(policy: LocalModel, scope: TokenScope, ids: list[int]) -> list[int]:
    """The tokens that an edit of a scope changes, by what the last block leaves."""
    layout, ids_BT = layout_of(policy), torch.tensor([ids])
    plain = capture(layout, ids_BT, [Site(2)])[Site(2)][0]
    with edited(policy, [Add(Site(2), random_direction(32, 3), 1.0, scope)]):
        steered = capture(layout, ids_BT, [Site(2)])[Site(2)][0]
    return [t for t in range(len(ids)) if not torch.equal(plain[t], steered[t])]


@pytest.mark.parametrize("scope", SCOPES)
def test_an_edit_of_a_scope_changes_its_tokens_alone(policy: LocalModel, scope: TokenScope) -> None:
    ids = list(scoped_row(policy, ANSWERED, "all").ids)
    row = scoped_row(policy, ANSWERED, scope)
    assert within(policy, scope, ids) == list(range(row.begin, row.end))


def test_of_a_longer_conversation_every_turn_of_the_assistant_is_a_reply(policy: LocalModel) -> None:
    talk = ANSWERED.then("user", "no?").then("assistant", "this")
    ids = list(scoped_row(policy, talk, "all").ids)
    replied = within(policy, "reply", ids)
    assert text(policy, [ids[t] for t in replied]) == "yes: that is it.<|im_end|>this"
    assert sorted({*replied, *within(policy, "prompt", ids)}) == list(range(len(ids)))
    count = len(template_tokens(policy))
    assert len(within(policy, "template", ids)) == 2 * count  # at each turn
    assert len(within(policy, "prompt_end", ids)) == 2


EDITS = {
    "add": lambda scope: [Add(Site(1), random_direction(32, 5), 30.0, scope)],
    "ablate": lambda scope: [Ablate(Site(1, "mlp_out"), random_direction(32, 5), scope)],
}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", EDITS)
def test_a_reply_is_written_and_given_alike_alone_and_beside_others(
    policy: LocalModel, kind: str, scope: TokenScope
) -> None:
    alike(policy, EDITS[kind](scope))


@pytest.mark.parametrize("family", ["gpt2", "gemma3_text", "mamba"])
def test_so_it_is_in_families_of_other_caches(family: str, tmp_path: Path) -> None:
    policy = load(make(family, tmp_path / "model"))
    for scope in ("reply", "template"):
        alike(policy, [Add(Site(0), random_direction(layout_of(policy).hidden, 5), 30.0, scope)])


def alike(policy: LocalModel, edits: list[Edit]) -> None:
    """What it samples over a cache, prompts of unlike length together, has the log-probability that the same text has
    when it is given, two replies to a prompt packed as one row."""
    prompts = [policy.chat.prompt(prompt) for prompt in PROMPTS]

    def draw(which: list[list[int]], temperature: float) -> list[list[Sample]]:
        return sample(policy, which, n=2, max_new_tokens=5, temperature=temperature, seed=3)

    with edited(policy, edits):
        drawn, alone, together = draw(prompts, 1.0), draw(prompts[2:], 0.0), draw(prompts, 0.0)
        body, head = layout_of(policy).body, policy.model.get_output_embeddings()
        for prompt, replies in zip(prompts, drawn, strict=True):
            for reply in replies:
                with torch.inference_mode():
                    states = body(input_ids=torch.tensor([prompt + reply.ids]), use_cache=False).last_hidden_state[0]
                    logp = head(states[len(prompt) - 1 : -1]).log_softmax(-1)
                given = logp[torch.arange(len(reply.ids)), torch.tensor(reply.ids)]
                assert given.tolist() == pytest.approx(reply.logprobs, abs=1e-3)
        rows = [
            TokenRow(tuple(prompt), tuple(tuple(reply.ids) for reply in replies))
            for prompt, replies in zip(prompts, drawn, strict=True)
        ]
        scored = [total for row in policy.score(rows) for total, _ in row]
    totals = [sum(reply.logprobs) for replies in drawn for reply in replies]
    assert scored == pytest.approx(totals, abs=1e-3)
    assert [reply.ids for reply in alone[0]] == [reply.ids for reply in together[2]]
    plain = draw(prompts, 1.0)
    pairs = [pair for own in zip(plain, drawn, strict=True) for pair in zip(*own, strict=True)]
    assert any(one.logprobs != pytest.approx(other.logprobs) for one, other in pairs)  # the control: it does something


def test_states_in_place_of_tokens_are_refused(policy: LocalModel) -> None:
    masks = ScopeMasks(policy, ["reply"])
    with pytest.raises(ValueError, match="given states in place of tokens"):
        masks.read(None, (), {"inputs_embeds": torch.zeros(1, 3, 32)})


def test_a_folder_keeps_the_scope_and_no_weights_can_be_it(policy: LocalModel, tmp_path: Path) -> None:
    edits = [Add(Site(1), random_direction(32, 5), 30.0, "reply")]
    save_steering(policy, edits, tmp_path / "steered", model=Path(policy.name) if Path(policy.name).exists() else "m")
    with edited(policy, edits):
        aim = policy.generate([REQUEST], max_new_tokens=6, temperature=0.0)[0][0].text
    make_tiny(tmp_path / "model", num_hidden_layers=3)
    file = tmp_path / "steered" / "steering.json"
    file.write_text(file.read_text().replace('"model": "m"', '"model": "../model"'))
    again = load(tmp_path / "steered")
    assert again.generate([REQUEST], max_new_tokens=6, temperature=0.0)[0][0].text == aim
    assert '"tokens": "reply"' in file.read_text()
    with pytest.raises(ValueError, match="weights change every token alike"):
        fold(policy, edits)
