"""Do flat branches attend as plain attention says, each to what stands before it and to itself?"""

from __future__ import annotations

import pytest
import torch

from alignwright.model.branch_attention import Branches, KeysValues, PathBranches, attend_branches, attend_paths
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


PATHS = [(0, 30), (12, 1), (12, 5), (17, 40), (57, 3), (33, 2), (0, 7), (3, 33)]  # (fork, length)


def attended_paths(query_MA, key_MC, value_MC, heads):
    """By torch, token by token, in float64, the path of each branch written out."""
    size, begin, path, out = key_MC.shape[1] // heads, 0, [], []
    group = query_MA.shape[1] // key_MC.shape[1]
    for fork, length in PATHS:
        path = path[:fork]
        for token in range(begin, begin + length):
            path = [*path, token]
            key, value = (each[path].double().view(-1, heads, size) for each in (key_MC, value_MC))
            query = query_MA[token].double().view(heads, group, size)
            weight = torch.einsum("hgd,shd->hgs", query, key).softmax(-1)
            out.append(torch.einsum("hgs,shd->hgd", weight, value).flatten())
        begin += length
    return torch.stack(out)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize(("heads", "group", "size"), [(3, 3, 64), (2, 1, 16), (1, 4, 48), (5, 2, 32)])
def test_each_branch_of_a_tree_sees_its_path_and_any_number_of_threads_gives_the_same(
    dtype, error, heads, group, size, monkeypatch
):
    if attention_kernels(dtype, torch.device("cpu"), size) is None:
        pytest.skip(f"no kernel attends in {dtype} with heads of {size} here")
    tokens, chance = sum(length for _, length in PATHS), torch.Generator().manual_seed(5)
    query_MA, key_MC, value_MC = (
        torch.randn(tokens, width * size, generator=chance).to(dtype) for width in (heads * group, heads, heads)
    )
    query_MA, at, results = query_MA / size**0.5, PathBranches.of(PATHS, heads), []
    for threads in (1, 2, 3, 11):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        results.append(attend_paths(query_MA, key_MC, value_MC, at))
    assert all(torch.equal(results[0], each) for each in results[1:])
    right_MA = attended_paths(query_MA, key_MC, value_MC, heads)
    torch.testing.assert_close(results[0].double(), right_MA, atol=error, rtol=error)
    # a control: what lies behind a fork changes nothing of a later branch, what lies before it does
    key_MC[12:30] = 9.0
    changed_MA = attend_paths(query_MA, key_MC, value_MC, at)
    first, second = slice(30, 36), slice(-33, None)  # forks of 12, and one of 3
    assert torch.equal(changed_MA[first], results[0][first])
    assert torch.equal(changed_MA[second], results[0][second])
    key_MC[0] += 1.0
    assert not torch.allclose(attend_paths(query_MA, key_MC, value_MC, at)[first].float(), results[0][first].float())
