"""Products with packed weights are torch's products, and no bit of a row depends on the rows
beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alignwright.model import kernels as module
from alignwright.model.elementwise import swiglu
from alignwright.model.kernels import kernels
from alignwright.model.lora_linear import _Fused, _Plain
from alignwright.model.matmul import (
    PackedWeight,
    input_gradient,
    linear,
    matmul_sum,
    matmul_swiglu,
    outer,
    pack_weight,
    pack_weight_transposed,
)
from alignwright.model.packed_linear import packed_linear


def has_matmul(dtype: torch.dtype) -> bool:
    native = kernels(torch.zeros(1, dtype=dtype))
    return native is not None and native.has_matmul


DTYPES = (torch.float32, torch.bfloat16)
NONE = "this processor has no products of ours in this precision"
needed = pytest.mark.skipif(not has_matmul(torch.float32), reason=NONE)
OURS = [
    pytest.param(dtype, marks=pytest.mark.skipif(not has_matmul(dtype), reason=NONE), id=str(dtype)) for dtype in DTYPES
]
NEAR = {torch.float32: 1e-6, torch.bfloat16: 5e-3}


def there(weight: PackedWeight | None) -> PackedWeight:
    assert weight is not None
    return weight


def some(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def apart(got: Tensor, want: Tensor) -> float:
    return float((got.double() - want.double()).norm() / want.double().norm())


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ALIGNWRIGHT_KERNELS", "off")
    module._compiled_kernels.cache_clear()
    yield
    module._compiled_kernels.cache_clear()


@pytest.mark.parametrize("dtype", OURS)
@pytest.mark.parametrize("rows", [0, 1, 2, 5, 11, 12, 13, 29])
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (34, 96), (100, 64), (576, 192), (64, 16), (70, 48)])
def test_forth_and_back(dtype: torch.dtype, rows: int, inputs: int, outputs: int) -> None:
    x, weight = some(rows, inputs, dtype=dtype), some(outputs, inputs, dtype=dtype, seed=1)
    forth = matmul_sum([(x, there(pack_weight(weight)))])
    assert forth.dtype == dtype
    assert forth.shape == (rows, outputs)
    across = matmul_sum([(x, there(pack_weight_transposed(weight.T.contiguous())))])
    assert torch.equal(forth, across)  # the same weights in the same order
    if rows:
        assert apart(forth, x.double() @ weight.double().T) < NEAR[dtype]
        assert apart(forth, -(x.double() @ weight.double().T)) > 1  # the check can fail


@pytest.mark.parametrize("dtype", OURS)
def test_many_inputs_are_summed_slice_by_slice_to_the_same_bits(dtype: torch.dtype) -> None:
    """Fifty rows are too many to lie near with so many inputs, ten are not; a vocabulary has 50,000."""
    parts = [
        (some(50, wide, dtype=dtype, seed=wide), there(pack_weight(some(48, wide, dtype=dtype, seed=wide + 1))))
        for wide in (17_002, 34)
    ]
    got, few = matmul_sum(parts), matmul_sum([(x[20:30], weight) for x, weight in parts])
    exact = sum(
        some(50, wide, dtype=dtype, seed=wide).double() @ some(48, wide, dtype=dtype, seed=wide + 1).double().T
        for wide in (17_002, 34)
    )
    assert isinstance(exact, Tensor)
    assert torch.equal(got[20:30], few)
    assert apart(got, exact) < 5 * NEAR[dtype]  # one after the other, 17,000 sums lose more than torch's


@pytest.mark.parametrize("dtype", OURS)
@pytest.mark.parametrize("rows", [0, 1, 13, 497])  # 497: more than are held at once
@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (64, 48), (18_000, 32)])
def test_a_gated_unit_is_to_the_bit_what_its_two_products_make(
    dtype: torch.dtype, rows: int, inputs: int, outputs: int
) -> None:
    x, gate, up = (
        some(rows, inputs, dtype=dtype),
        some(outputs, inputs, dtype=dtype, seed=1),
        some(outputs, inputs, dtype=dtype, seed=2),
    )
    weights = [there(pack_weight(weight / inputs**0.5)) for weight in (gate, up)]
    apart_NO = [matmul_sum([(x, weight)]) for weight in weights]
    assert torch.equal(matmul_swiglu(x, *weights), swiglu(*apart_NO))
    if rows:
        assert not torch.equal(matmul_swiglu(x, *weights), swiglu(*apart_NO[::-1]))


@pytest.mark.parametrize("dtype", OURS)
def test_several_products_are_summed_before_they_are_rounded(dtype: torch.dtype) -> None:
    wide = some(29, 100, dtype=dtype)
    parts = [
        (wide[:, :32], some(64, 32, dtype=dtype, seed=1)),
        (wide[:, 40:56], some(64, 16, dtype=dtype, seed=2)),
    ]  # slices of one tensor
    got = matmul_sum([(x, there(pack_weight(weight))) for x, weight in parts])
    exact = sum(x.double() @ weight.double().T for x, weight in parts)
    assert isinstance(exact, Tensor)
    assert apart(got, exact) < NEAR[dtype]
    if dtype == torch.bfloat16:
        twice = sum(x @ weight.T for x, weight in parts)
        assert isinstance(twice, Tensor)
        assert apart(got, exact) < apart(twice, exact)


@pytest.mark.parametrize("dtype", OURS)
def test_no_bit_of_a_row_depends_on_other_rows_or_on_threads(dtype: torch.dtype) -> None:
    x, weight = some(200, 576, dtype=dtype), there(pack_weight(some(608, 576, dtype=dtype, seed=1)))
    whole, threads = matmul_sum([(x, weight)]), torch.get_num_threads()
    for begin, end in ((0, 1), (3, 10), (50, 113)):
        assert torch.equal(matmul_sum([(x[begin:end], weight)]), whole[begin:end])
    try:
        torch.set_num_threads(3)
        assert torch.equal(matmul_sum([(x, weight)]), whole)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 128, 129, 401])
@pytest.mark.parametrize(("small", "large"), [(16, 64), (48, 576), (7, 16), (13, 48), (100, 208), (8, 33)])
def test_outer_products(dtype: torch.dtype, rows: int, small: int, large: int) -> None:
    left, right = some(rows, small + 5, dtype=dtype)[:, 2 : 2 + small], some(rows, large, dtype=dtype, seed=1)
    got, exact = outer(left, right), left.double().T @ right.double()
    assert got.shape == (small, large)
    assert got.dtype == dtype
    if rows:
        assert apart(got, exact) < NEAR[dtype]
        assert apart(got, left.double().roll(1, 1).T @ right.double()) > 0.5  # the check can fail
    else:
        assert not got.any()


@pytest.mark.parametrize("dtype", OURS)
def test_no_bit_of_an_outer_product_depends_on_threads(dtype: torch.dtype) -> None:
    left, right, threads = some(500, 48, dtype=dtype), some(500, 1536, dtype=dtype, seed=1), torch.get_num_threads()
    whole = outer(left, right)
    try:
        torch.set_num_threads(3)
        assert torch.equal(outer(left, right), whole)
    finally:
        torch.set_num_threads(threads)


@needed
def test_what_does_not_fit_is_left_to_torch() -> None:
    assert pack_weight(some(33, 32)) is None  # outputs
    assert pack_weight(some(32, 33, dtype=torch.bfloat16)) is None  # an odd number of inputs, or no products at all
    assert pack_weight(some(32, 33)) is not None
    assert pack_weight(some(32, 32).double()) is None
    x, weight, bias = some(5, 33), some(33, 33), some(33)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    mixed = some(5, 32, dtype=torch.bfloat16), some(32, 32)
    with pytest.raises(RuntimeError, match="dtype"):
        linear(*mixed, None)


def test_without_kernels_torch_multiplies(off: None) -> None:
    x, weight, bias = some(5, 32), some(64, 32, seed=1), some(64, seed=2)
    assert pack_weight(weight) is None
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    g = some(5, 64, seed=3)
    torch.testing.assert_close(input_gradient([(g, weight), (g, weight)]), 2 * (g @ weight))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_packed_layer_is_the_layer(dtype: torch.dtype) -> None:
    layer = nn.Linear(64, 96).to(dtype)
    x = some(3, 4, 64, dtype=dtype)
    got = packed_linear(layer.weight, layer.bias, 12)(x)
    assert got.shape == (3, 4, 96)
    assert apart(got.detach(), layer(x).detach()) < NEAR[dtype]


@pytest.mark.parametrize("bias", [True, False])
def test_a_plain_layer_has_torchs_gradients(bias: bool) -> None:
    layer, x, upstream = nn.Linear(64, 96, bias=bias), some(17, 64).requires_grad_(), some(17, 96, seed=1)
    wanted = [x, *layer.parameters()]
    ours = torch.autograd.grad(_Plain.apply(x, None, layer.weight, layer.bias), wanted, upstream)
    for got, want in zip(ours, torch.autograd.grad(layer(x), wanted, upstream), strict=True):
        assert apart(got, want) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_adapted_layers_have_the_gradients_of_what_they_stand_for(dtype: torch.dtype) -> None:
    """x W' + b + s (x A') B' of three layers with one input, of sizes that are packed and of
    one that is not."""
    x, scales = some(17, 64, dtype=dtype).requires_grad_(), (2.0, 2.0, 0.5)
    flat: list[Tensor] = []
    for k, size in enumerate((96, 32, 40)):
        a, b = (
            some(8, 64, dtype=dtype, seed=k).requires_grad_(),
            some(size, 8, dtype=dtype, seed=9 + k).requires_grad_(),
        )
        flat += [some(size, 64, dtype=dtype, seed=20 + k), some(size, dtype=dtype, seed=30 + k), a, b]
    upstream = [some(17, size, dtype=dtype, seed=40 + k) for k, size in enumerate((96, 32, 40))]
    ours = _Fused.apply(x, None, scales, *flat)
    wide = [each.detach().double().requires_grad_() for each in (x, *flat)]
    fours = [wide[1 + 4 * k : 5 + 4 * k] for k in range(3)]
    exact = [wide[0] @ w.T + bias + s * (wide[0] @ a.T) @ b.T for (w, bias, a, b), s in zip(fours, scales, strict=True)]
    learnt = [each for k in range(3) for each in flat[4 * k + 2 : 4 * k + 4]]
    learnt_wide = [each for _, _, a, b in fours for each in (a, b)]
    for got, want in zip(ours, exact, strict=True):
        assert apart(got.detach(), want.detach()) < NEAR[dtype]
    slopes = torch.autograd.grad(ours, [x, *learnt], upstream)
    for got, want in zip(
        slopes, torch.autograd.grad(exact, [wide[0], *learnt_wide], [g.double() for g in upstream]), strict=True
    ):
        assert apart(got, want) < 3 * NEAR[dtype]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_adapter_that_adds_nothing_changes_no_bit(dtype: torch.dtype) -> None:
    """So that a reference without the adapter and a policy with a new one are the same numbers."""
    x, weight = some(17, 64, dtype=dtype), some(96, 64, dtype=dtype, seed=1)
    new = some(8, 64, dtype=dtype, seed=2), torch.zeros(96, 8, dtype=dtype)
    assert torch.equal(_Fused.apply(x, None, (2.0,), weight, None, *new)[0], _Plain.apply(x, None, weight, None))
