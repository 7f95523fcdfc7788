"""Do flat branches attend as plain attention says, each to its part of the row and to itself?"""

from __future__ import annotations

import pytest
import torch

from alignwright.model.branch_attention import Branches, KeysValues, attend_branches
from alignwright.model.kernels import kernels
from alignwright.model.shared_prompt_attention import attention_kernels

ROW = 37
BRANCHES = [(1, 1), (5, 26), (16, 3), (36, 13), (37, 2), (20, 12)]  # (fork, length)


def attended(query_MA, key_MC, value_MC, row, heads):
    """By torch, token by token, in float64."""
    size, begin, out = key_MC.shape[1] // heads, 0, []
    group = query_MA.shape[1] // key_MC.shape[1]
    for fork, length in BRANCHES:
        for token in range(begin, begin + length):
            key = torch.cat([row.key_PC[:fork], key_MC[begin : token + 1]]).double().view(-1, heads, size)
            value = torch.cat([row.value_PC[:fork], value_MC[begin : token + 1]]).double().view(-1, heads, size)
            query = query_MA[token].double().view(heads, group, size)
            weight = torch.einsum("hgd,shd->hgs", query, key).softmax(-1)
            out.append(torch.einsum("hgs,shd->hgd", weight, value).flatten())
        begin += length
    return torch.stack(out)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize(("heads", "group", "size"), [(3, 3, 64), (2, 1, 16), (1, 4, 48)])
def test_each_branch_sees_its_part_of_the_row_and_itself(dtype, error, heads, group, size):
    if attention_kernels(dtype, torch.device("cpu"), size) is None:
        pytest.skip(f"no kernel attends in {dtype} with heads of {size} here")
    tokens, chance = sum(length for _, length in BRANCHES), torch.Generator().manual_seed(3)

    def drawn(rows, width):
        return torch.randn(rows, width, generator=chance).to(dtype)

    query_MA, key_MC = drawn(tokens, heads * group * size) / size**0.5, drawn(tokens, heads * size)
    value_MC, row = drawn(tokens, heads * size), KeysValues(drawn(ROW, heads * size), drawn(ROW, heads * size))
    out_MA = attend_branches(query_MA, key_MC, value_MC, row, Branches.of(BRANCHES, heads))
    right_MA = attended(query_MA, key_MC, value_MC, row, heads)
    torch.testing.assert_close(out_MA.double(), right_MA, atol=error, rtol=error)
    # what lies behind a fork, and a sibling, changes nothing; what lies before it does
    beyond = KeysValues(row.key_PC.clone(), row.value_PC.clone())
    beyond.key_PC[5:], beyond.value_PC[5:] = 9.0, torch.nan
    first, second = slice(0, 1), slice(1, 27)
    alone = Branches.of(BRANCHES[1:2], heads)
    same_MA = attend_branches(query_MA[second], key_MC[second], value_MC[second], beyond, alone)
    torch.testing.assert_close(same_MA, out_MA[second], atol=0, rtol=0)
    beyond.value_PC[0] += 1
    moved_MA = attend_branches(
        query_MA[first], key_MC[first], value_MC[first], beyond, Branches.of(BRANCHES[:1], heads)
    )
    assert float((moved_MA.float() - out_MA[first].float()).abs().max()) > 0.1


def test_any_number_of_threads_gives_the_same(monkeypatch):
    native = kernels(torch.empty(0))
    if native is None or not native.has_matmul:
        pytest.skip("no kernel attends in float32 here")
    chance = torch.Generator().manual_seed(4)
    tokens = sum(length for _, length in BRANCHES)
    query_MA, key_MC, value_MC = (torch.randn(tokens, width, generator=chance) for width in (192, 64, 64))
    row = KeysValues(torch.randn(ROW, 64, generator=chance), torch.randn(ROW, 64, generator=chance))
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        results.append(attend_branches(query_MA, key_MC, value_MC, row, Branches.of(BRANCHES, 4)))
    assert all(torch.equal(results[0], each) for each in results[1:])
