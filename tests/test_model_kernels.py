"""The compiled kernels give what torch's own operations give, in both precisions, whatever the
sizes and the threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny import make_tiny
from torch import Tensor

from alignwright.model import kernels as module
from alignwright.model.adapters import add_lora, trainable_parameters
from alignwright.model.elementwise import apply_rotary, rms_norm, signed_sine, swiglu
from alignwright.model.kernels import kernels, why_no_kernels
from alignwright.model.load import load
from alignwright.model.logprob import head_logprobs, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.sampling import draw, sample
from alignwright.model.shared_prompt_attention import attend, shared_prompt_mask
from alignwright.model.tokens import TokenRow

pytestmark = pytest.mark.skipif(why_no_kernels() is not None, reason=f"no compiled kernels here: {why_no_kernels()}")

DTYPES = (torch.float32, torch.bfloat16)
ANGLE = torch.linspace(0.1, 3.0, 37)[:, None] * torch.tensor([1.0, 0.1, 0.01, 0.003]).repeat(2)
LENGTHS = [(300, [5, 17]), (40, [9]), (131, [1, 2, 3])]  # the longest prompt is cut into three parts


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return attend(
        query,
        key,
        value,
        shared_prompt_mask(LENGTHS, heads=2, group=3, size=key.shape[1] // 2, dtype=query.dtype, device=query.device),
    )


TOKENS = sum(head + sum(replies) for head, replies in LENGTHS)
CASES: dict[str, tuple[Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "rms_norm": (lambda x: rms_norm(x, torch.linspace(0.5, 2.0, 50).to(x.dtype), 1e-5), [(37, 50)]),
    "rms_norm, many": (lambda x: rms_norm(x, torch.linspace(0.5, 2.0, 50).to(x.dtype), 1e-5), [(1500, 50)]),
    "swiglu": (lambda gate, up: swiglu(3 * gate, up), [(37, 50), (37, 50)]),
    "rotate": (lambda x: apply_rotary(x, ANGLE.cos().to(x.dtype), signed_sine(ANGLE.sin()).to(x.dtype)), [(37, 24)]),
    "attend": (attended, [(TOKENS, 48), (TOKENS, 16), (TOKENS, 16)]),
    "attend, heads of 64": (
        lambda query, key, value: attended(query / 8, key, value),
        [(TOKENS, 384), (TOKENS, 128), (TOKENS, 128)],
    ),
    "head": (lambda hidden, w: head_logprobs(hidden, w, None, torch.arange(40) % 7, chunk=16), [(40, 32), (3001, 32)]),
    "frozen head": (
        lambda hidden: head_logprobs(hidden, WEIGHT.to(hidden.dtype), None, torch.arange(40) % 7, chunk=16),
        [(40, 32)],
    ),
}
WEIGHT = torch.randn(3001, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def without() -> Iterator[Callable[[], None]]:
    """Go on without kernels."""

    def stop() -> None:
        patch.setenv("ALIGNWRIGHT_KERNELS", "off")
        module._compiled_kernels.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        yield stop
    module._compiled_kernels.cache_clear()


def value_and_slopes(name: str, dtype: torch.dtype) -> list[Tensor]:
    run, shapes = CASES[name]
    source = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=source).to(dtype).requires_grad_() for shape in shapes]
    out = run(*inputs)
    upstream = torch.randn(out.shape, generator=source).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, inputs, upstream)]


def apart(got: list[Tensor], want: list[Tensor]) -> float:
    """The largest difference, of the norm of what is wanted."""
    return max(float((a.float() - b.float()).norm() / b.float().norm()) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_torchs_operations(
    name: str, dtype: torch.dtype, without: Callable[[], None]
) -> None:
    got = value_and_slopes(name, dtype)
    without()
    assert kernels(torch.zeros(1, dtype=dtype)) is None
    assert apart(got, value_and_slopes(name, dtype)) < (2e-6 if dtype == torch.float32 else 1e-2)


@pytest.mark.parametrize("name", CASES)
def test_in_half_precision_they_are_nearer_to_the_truth_than_torchs_own(name: str, without: Callable[[], None]) -> None:
    """Against float32 of the same rounded inputs: one rounding at the end, not one an operation."""
    got = value_and_slopes(name, torch.bfloat16)
    run, shapes = CASES[name]
    source = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=source).bfloat16().float().requires_grad_() for shape in shapes]
    out = run(*inputs)
    upstream = torch.randn(out.shape, generator=source).bfloat16().float()
    truth = [out.detach(), *torch.autograd.grad(out, inputs, upstream)]
    without()
    assert apart(got, truth) <= apart(value_and_slopes(name, torch.bfloat16), truth) * 1.05


def test_threads_change_no_bit() -> None:
    threads = torch.get_num_threads()
    native, found = kernels(torch.zeros(1)), []
    assert native
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            x, out, scale = torch.linspace(-3, 3, 90_000).view(1800, 50), torch.empty(1800, 50), torch.empty(1800)
            native.rms_norm(x, x[7].contiguous(), out, scale, 1800, 50, 1e-5)
            scores = x.clone()
            native.masked_softmax(scores, torch.zeros(1800, 50), 1800, 1, 1, 50)
            found.append((out, scale, scores))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_bfloat16_is_rounded_as_torch_rounds_it() -> None:
    """A rotation by nothing gives back the float that went in; ties, the largest, the smallest
    and what is no number among them."""
    native = kernels(torch.zeros(1, dtype=torch.bfloat16))
    assert native
    values = torch.tensor(
        [1.00390625, 1.01171875, -1.00390625, 3.3e38, 1e-38, -2.5, float("inf"), float("nan")]
    ).bfloat16()
    padded, ones, out = (
        torch.cat([values, torch.zeros(8).bfloat16()]),
        torch.ones(16).bfloat16(),
        torch.empty(16).bfloat16(),
    )
    native.apply_rotary(padded, ones, torch.zeros(16).bfloat16(), out, 1, 1, 16, 1.0)
    assert torch.equal(out[:7], values[:7])
    assert out[7].isnan()
    source = torch.linspace(-4, 4, 4096)
    scaled = torch.empty(4096, dtype=torch.bfloat16)
    third = torch.full((4096,), 1 / 3).bfloat16()
    native.apply_rotary(source.bfloat16(), third, torch.zeros(4096, dtype=torch.bfloat16), scaled, 1, 1, 4096, 1.0)
    assert torch.equal(scaled, (source.bfloat16().float() * third.float()).bfloat16())


def test_the_exponential_is_right_to_the_last_digits() -> None:
    native = kernels(torch.zeros(1))
    assert native
    logits = -torch.cat([torch.zeros(1), torch.linspace(0, 86, 99_999)])[None]
    mass, top, total = torch.empty_like(logits), torch.empty(1), torch.empty(1)
    native.unnormalised_probs(logits, mass, top, total, 1, logits.shape[1], 1.0)
    exact = logits.double().exp()
    assert float(((mass.double() - exact) / exact).abs().max()) < 2e-7
    assert float(total) == pytest.approx(float(exact.sum()), rel=2e-7)
    native.unnormalised_probs(torch.tensor([[0.0, -1e4, -3.4e38]]), mass[:, :3].contiguous(), top, total, 1, 3, 1.0)
    assert float(total) == 1.0


def test_what_is_masked_counts_for_nothing_at_all() -> None:
    native = kernels(torch.zeros(1))
    assert native
    scores, mask = torch.randn(2, 1, 1, 5), torch.zeros(2, 1, 5)
    mask[:, :, 3:] = torch.finfo(torch.float32).min
    before = scores.clone()
    native.masked_softmax(scores, mask, 2, 1, 1, 5)
    assert torch.equal(scores[..., 3:], torch.zeros(2, 1, 1, 2))
    torch.testing.assert_close(scores[..., :3], before[..., :3].softmax(-1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_bit_of_an_answer_depends_on_other_rows_or_on_threads(dtype: torch.dtype) -> None:
    """Which columns of a tile are left out depends on the rows beside it; what comes out must not."""
    query, key, value = (
        torch.randn(TOKENS, size, generator=torch.Generator().manual_seed(size)).to(dtype) for size in (384, 128, 129)
    )
    value, threads = value[:, :128].contiguous(), torch.get_num_threads()
    whole = attended(query / 8, key, value)
    try:
        torch.set_num_threads(3)
        assert torch.equal(attended(query / 8, key, value), whole)
    finally:
        torch.set_num_threads(threads)
    alone = slice(
        LENGTHS[0][0] + sum(LENGTHS[0][1]), LENGTHS[0][0] + sum(LENGTHS[0][1]) + 49
    )  # the second row, by itself
    at = shared_prompt_mask(LENGTHS[1:2], heads=2, group=3, size=64, dtype=dtype, device=query.device)
    byitself, prompt = attend(query[alone] / 8, key[alone], value[alone], at), LENGTHS[1][0]
    assert torch.equal(byitself[:prompt], whole[alone][:prompt])
    torch.testing.assert_close(
        byitself[prompt:], whole[alone][prompt:]
    )  # a reply begins at another column, so its sum has another order
    key = key.clone()
    key[LENGTHS[0][0] - 1] = 1e4  # the last token of the first prompt: seen by itself and its replies alone
    changed = (attended(query / 8, key, value) != whole).any(1)
    assert changed[LENGTHS[0][0] - 1 : alone.start].any()
    assert not changed[: LENGTHS[0][0] - 1].any()
    assert not changed[alone.start :].any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_whole_model_speaks_and_learns_the_same(tmp_path: Path, dtype: str, without: Callable[[], None]) -> None:
    policy = load(make_tiny(tmp_path), dtype=dtype)
    add_lora(policy, rank=4, seed=1)
    prompts = [[1, 5, 9, 11], [1, 7], list(range(3, 40))]

    def all_of_it() -> tuple[list[list[float]], list[Tensor]]:
        spoken = sample(
            policy, prompts, n=3, max_new_tokens=6, temperature=0.9, seed=5, stop_ids=frozenset(range(290, 300))
        )
        rows = [TokenRow(tuple(p), ((4, 8, 15), (16, 23))) for p in prompts]
        total = token_logprobs(policy.model, pack(rows, 0, dtype=policy.dtype)).sum()
        return [s.logprobs for group in spoken for s in group], list(
            torch.autograd.grad(total, trainable_parameters(policy))
        )

    said, slopes = all_of_it()
    without()
    said_without, slopes_without = all_of_it()
    near = 1e-4 if dtype == "float32" else 0.15
    assert [len(each) for each in said] == [len(each) for each in said_without]
    for a, b in zip(said, said_without, strict=True):
        assert a == pytest.approx(b, abs=near) or dtype == "bfloat16"  # a near tie may tip in half precision
    moved = [(a, b) for a, b in zip(slopes, slopes_without, strict=True) if b.any()]
    assert moved
    assert apart([a for a, _ in moved], [b for _, b in moved]) < (1e-5 if dtype == "float32" else 0.1)


def test_the_check_can_fail_a_rotation_the_wrong_way(without: Callable[[], None]) -> None:
    x, cos, sin = torch.randn(37, 24), ANGLE.cos(), signed_sine(ANGLE.sin())
    wrong = apply_rotary(x, cos, -sin)
    without()
    assert apart([wrong], [apply_rotary(x, cos, sin)]) > 0.1


def test_a_drawn_token_is_the_same(without: Callable[[], None]) -> None:
    logits, uniform, temperatures = torch.randn(6, 3001), torch.rand(6), (0.0, 0.7, 1.0)
    with_them = [draw(logits, uniform, temperature) for temperature in temperatures]
    without()
    for (token, logp), temperature in zip(with_them, temperatures, strict=True):
        plain = draw(logits, uniform, temperature)
        assert torch.equal(token, plain[0])
        torch.testing.assert_close(logp, plain[1], atol=1e-5, rtol=1e-5)


def test_tensors_of_two_precisions_are_left_to_torch() -> None:
    assert kernels(torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16)) is None
    assert kernels(torch.zeros(1, dtype=torch.float64)) is None


# ---- where they come from ------------------------------------------------------------------------
def elsewhere(tmp_path: Path, **environment: str) -> str:
    """What a fresh process says of its kernels."""
    code = "import alignwright.model.kernels as k; print(k.why_no_kernels() or 'compiled')"
    path = {
        "XDG_CACHE_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(module.__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=path | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_they_are_compiled_once_and_kept(tmp_path: Path) -> None:
    assert elsewhere(tmp_path) == "compiled"
    (kept,) = (tmp_path / "alignwright" / "kernels").glob("*.so")
    made = kept.stat().st_mtime_ns
    assert elsewhere(tmp_path) == "compiled"
    assert kept.stat().st_mtime_ns == made
    assert (tmp_path / "alignwright" / "kernels").stat().st_mode & 0o777 == 0o700


def test_without_them_the_reason_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho 'no such header: math.h' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert elsewhere(tmp_path, ALIGNWRIGHT_KERNELS="off") == "ALIGNWRIGHT_KERNELS is off"
    assert "no C compiler 'nowhere'" in elsewhere(tmp_path, CC="nowhere")
    assert "no such header: math.h" in elsewhere(tmp_path, CC=str(broken))
    assert not list(tmp_path.rglob("*.so"))


def test_a_cache_that_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "alignwright" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert "can be written by others" in elsewhere(tmp_path)
