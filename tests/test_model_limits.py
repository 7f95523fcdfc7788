"""What a model cannot do is said by its configuration, before training; a long text is read in
windows; a saved model is read by older readers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tiny, make_tokenizer
from transformers import (
    AutoConfig,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedConfig,
)

from alignwright.files.models import resolve
from alignwright.model.adapters import add_lora, merged, trainable_parameters
from alignwright.model.legacy_config import legacy_rope_keys
from alignwright.model.limits import Limit, limit, no_adapter, unshared, window
from alignwright.model.load import load
from alignwright.model.local_model import windows
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokenizer import load_tokenizer
from alignwright.model.tokens import TokenRow
from alignwright.train.data_checks import rows_lost

PHI, LONGROPE = {"max_position_embeddings": 131072}, {"rope_type": "longrope"}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "vocab_size": 300}


def kept(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


# ---- what bounds a row ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"max_position_embeddings": 2048}, Limit(2048)),
        ({"max_position_embeddings": 2048, "sliding_window": 512}, Limit(2048)),
        ({"text_config": {"max_position_embeddings": 512}, "max_position_embeddings": 64}, Limit(512)),
        ({"n_positions": 1024}, Limit(1024)),
        ({"vocab_size": 5}, None),
        ({**PHI, "rope_scaling": {"type": "longrope"}, "model_type": "phi3"}, Limit(4096, longrope=True)),
        ({**PHI, "rope_scaling": {"type": "su"}, "original_max_position_embeddings": 64}, Limit(64, longrope=True)),
        ({**PHI, "rope_parameters": {**LONGROPE, "original_max_position_embeddings": 64}}, Limit(64, longrope=True)),
        ({**PHI, "rope_parameters": {**LONGROPE, "original_max_position_embeddings": 131072}}, Limit(131072)),
        ({**PHI, "rope_parameters": {"rope_type": "yarn", "original_max_position_embeddings": 64}}, Limit(131072)),
    ],
)
def test_the_limit_of_a_row_is_the_context(config: dict[str, Any], found: Limit | None) -> None:
    assert limit(config) == found


def test_beyond_longropes_limit_a_row_would_change_with_its_neighbours(tmp_path: Path) -> None:
    """Why it is a limit: transformers chooses the frequencies of a whole batch by its longest row."""
    rope = {
        "rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": 64,
        "short_factor": [1.0] * 4, "long_factor": [9.0] * 4, "factor": 2.0,
    }  # fmt: skip
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Phi3Config(
        **ENDS, **sizes, rope_parameters=rope, original_max_position_embeddings=64, initializer_range=0.3
    )
    policy = load(kept(Phi3ForCausalLM(config), tmp_path / "phi"))
    assert policy.limit == Limit(64, longrope=True)
    short, long = TokenRow((1, 5, 9), ((20, 21, 2),)), TokenRow((1,) * 70, ((2,),))
    with pytest.raises(ValueError, match="64 tokens beyond which the model's longrope turns the whole row another way"):
        policy.score([short, long])
    with torch.inference_mode():
        alone, beside = (
            token_logprobs(policy.model, pack(rows, 2, dtype=torch.float32)) for rows in ([short], [short, long])
        )
    assert float((alone - beside[:3]).abs().max()) > 1e-3


def test_a_window_is_where_a_layer_has_one() -> None:
    kinds = {"layer_types": ["full_attention", "sliding_attention"]}
    assert window(PreTrainedConfig(sliding_window=512)) == window(PreTrainedConfig(sliding_window=512, **kinds)) == 512
    for none in ({}, {"sliding_window": 0}, {"layer_types": ["full_attention"]}, {"use_sliding_window": False}):
        assert window(PreTrainedConfig(**({"sliding_window": 512} | none if none else {}))) is None


def test_a_row_beyond_the_context_is_not_told_to_raise_max_tokens() -> None:
    rows = [TokenRow((1,), ((2,) * 600,)), TokenRow((1,), ((2,) * 9,))]
    (context,) = rows_lost(rows, rows[1:], 512, 0, 0.2, Limit(512))
    assert "more than the model's context of 512 tokens" in context.message
    assert "the longest has 601; shorten or split them, or use a model with a longer context" in context.message
    assert "raise max_tokens" not in context.message
    (unstated,) = rows_lost(rows, rows[1:], 512, 0, 0.2, Limit(512, stated=False))
    assert "a model whose configuration states no context" in unstated.message
    assert "state the context in config.json" in unstated.message
    (knob,) = rows_lost(rows, rows[1:], 512, 0, 0.2)
    assert "raise max_tokens to 601" in knob.message


def test_a_model_says_which_limit_it_is(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "tiny", max_position_embeddings=40)
    policy, alone = load(folder), load_tokenizer(resolve(str(folder)))
    assert policy.limit == alone.limit == Limit(40)
    with pytest.raises(
        ValueError,
        match=r"a row of 50 tokens is longer than the model's context of 40 tokens \(tiny\); shorten or split",
    ):
        policy.check_lengths([50])


def test_a_model_that_states_no_context_is_read_to_a_usual_one_and_says_so(tmp_path: Path) -> None:
    folder = kept(BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=4, **ENDS)), tmp_path / "bloom")
    policy, alone = load(folder), load_tokenizer(resolve(str(folder)))
    assert (policy.limit, alone.limit) == (Limit(2048, stated=False), None)
    with pytest.raises(ValueError, match=r"a row of 3000 tokens is longer than the 2,048 tokens .* states no context"):
        policy.check_lengths([3000])
    stated = json.loads((folder / "config.json").read_text()) | {"seq_length": 4096}
    (folder / "config.json").write_text(json.dumps(stated))
    assert load(folder).limit == load_tokenizer(resolve(str(folder))).limit == Limit(4096)


def test_what_cannot_share_a_prompt_is_told_by_its_configuration() -> None:
    assert unshared({"layer_types": ["full_attention", "sliding_attention"]}) is None
    assert unshared({"model_type": "llama"}) is None
    for config, words in (
        ({"layer_types": ["full_attention", "conv"]}, "layers of kind conv"),
        ({"text_config": {"layer_types": ["linear_attention"]}}, "layers of kind linear_attention"),
        ({"model_type": "bloom"}, "ALiBi"),
        ({"model_type": "falcon", "alibi": True}, "ALiBi"),
    ):
        assert words in (unshared(config) or "")


# ---- adapters ------------------------------------------------------------------------------------
def gpt2(folder: Path) -> Path:
    return kept(GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=256, **ENDS)), folder)


def mixture(folder: Path) -> Path:
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    return kept(
        MixtralForCausalLM(MixtralConfig(num_local_experts=4, max_position_embeddings=256, **shape, **ENDS)), folder
    )


@pytest.mark.parametrize(("make", "kind"), [(gpt2, "Conv1D"), (mixture, "MixtralExperts")])
def test_an_adapter_over_layers_of_another_kind_is_refused_before_training(
    tmp_path: Path, make: Any, kind: str
) -> None:
    folder = make(tmp_path / "model")
    assert load_tokenizer(resolve(str(folder))).no_adapter is not None
    policy = load(folder)
    before = {name: weight.clone() for name, weight in policy.model.state_dict().items()}
    with pytest.raises(ValueError, match=f"layers of kind .*{kind}.*rank: 0"):
        add_lora(policy, rank=2, seed=0)
    assert {
        name: bool((weight == before[name]).all()) for name, weight in policy.model.state_dict().items()
    } == dict.fromkeys(before, True)
    assert len(trainable_parameters(policy)) == len(list(policy.model.parameters()))


def test_a_plain_model_takes_an_adapter(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "tiny")
    assert load_tokenizer(resolve(str(folder))).no_adapter is None
    assert no_adapter({"model_type": "llama", "num_experts": None, "num_local_experts": 1}) is None
    assert no_adapter({"n_routed_experts": 8, "layers_block_type": ["mamba", "mlp"]}) is None
    assert no_adapter({"n_routed_experts": 8, "layers_block_type": ["mamba", "moe"]}) is not None
    add_lora(load(folder), rank=2, seed=0)


def test_an_adapter_on_a_tied_head_is_refused_and_on_a_head_of_its_own_it_is_merged_right(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lm_head shares its weight with another layer"):
        add_lora(load(make_tiny(tmp_path / "tied")), rank=2, seed=0, targets=["lm_head"])
    policy = load(make_tiny(tmp_path / "own", tie_word_embeddings=False))
    add_lora(policy, rank=2, seed=0, targets=["lm_head"])
    for name, weight in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode():
        apart = policy.model(ids).logits
        with merged(policy):
            assert torch.allclose(policy.model(ids).logits, apart, atol=1e-4)


# ---- long texts ----------------------------------------------------------------------------------
def test_windows_score_every_token_once_each_with_what_stands_before_it() -> None:
    ids = tuple(range(100, 157))
    found = windows(TokenRow((7,), (ids,)), 16)
    assert [token for part in found for token in part.replies[0]] == list(ids)
    assert all(len(part) <= 16 and part.prompt[0] == 7 for part in found)
    for part in found[1:]:
        context, scored = part.prompt[1:], part.replies[0]
        assert len(context) == 7
        assert [*context, *scored] == list(range(scored[0] - 7, scored[-1] + 1))
    assert windows(TokenRow((7,), (ids[:15],)), 16) == [TokenRow((7,), (ids[:15],))]


def test_a_text_longer_than_the_context_is_measured(tmp_path: Path) -> None:
    long, short = "The sun goes down behind the hill. " * 20, "The sun."
    policy = load(make_tiny(tmp_path / "tiny", max_position_embeddings=64))
    whole, alone = policy.text_logprobs([long, short]), policy.text_logprobs([short])
    assert whole[0].tokens == len(policy.chat.text(long).replies[0]) > 64
    assert whole[1].total == pytest.approx(alone[0].total, abs=1e-4)
    assert math.isfinite(whole[0].total)
    assert whole[0].total == pytest.approx(
        sum(part[0][0] for part in policy.score(windows(policy.chat.text(long), 64))), rel=1e-6
    )


# ---- saved models --------------------------------------------------------------------------------
def test_a_saved_model_has_its_rope_where_both_transformers_look(tmp_path: Path) -> None:
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 100_000.0}
    for name, rope in (("plain", {"rope_type": "default", "rope_theta": 100_000.0}), ("scaled", scaled)):
        policy = load(make_tiny(tmp_path / name, rope_parameters=rope))
        policy.save(tmp_path / "saved" / name)
        config = json.loads((tmp_path / "saved" / name / "config.json").read_text())
        assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 100_000.0
        assert (config.get("rope_scaling") or {}).get("factor") == rope.get("factor")
        assert (
            json.loads((tmp_path / "saved" / name / "tokenizer_config.json").read_text())["tokenizer_class"]
            == "PreTrainedTokenizerFast"
        )
        assert (
            AutoConfig.from_pretrained(tmp_path / "saved" / name).rope_parameters == policy.model.config.rope_parameters
        )
        again, ids = LlamaForCausalLM.from_pretrained(tmp_path / "saved" / name), torch.arange(3, 40)[None]
        with torch.inference_mode():
            assert torch.equal(again(ids).logits, LlamaForCausalLM.from_pretrained(tmp_path / name)(ids).logits)
        assert load(tmp_path / "saved" / name).tokenizer.get_vocab() == policy.tokenizer.get_vocab()


def test_rope_of_several_kinds_of_layers_is_written_under_its_old_names() -> None:
    rope = {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    assert legacy_rope_keys({"rope_parameters": rope}) == {"rope_theta": 1e6, "rope_local_base_freq": 1e4}
    partial = {"rope_theta": 5.0, "partial_rotary_factor": 0.5}
    assert legacy_rope_keys({"rope_parameters": partial, "rope_theta": 5.0}) == {"partial_rotary_factor": 0.5}
    assert legacy_rope_keys({"n_positions": 5}) == {}
