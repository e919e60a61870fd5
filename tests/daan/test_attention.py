"""Tests of daan/attention.py against loops over videos, heads and seconds (eq. 1, GroupNorm of eq. 2)."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from daan.attention import CrossAttention, DifferentialAttention
from daan.masked import Encoded


def slow_attention(layer: DifferentialAttention, x: Tensor) -> Tensor:
    """Compute differential attention (T, H) of one video (T, D) without padding."""
    w_query, w_key, w_value = layer.query.weight, layer.key.weight, layer.value.weight
    queries, keys, values = x @ w_query.T, x @ w_key.T, x @ w_value.T
    width = values.shape[1] // layer.heads
    half = width // 2
    rows = []
    for t in range(len(x)):
        heads = []
        for head in range(layer.heads):
            columns = slice(head * width, (head + 1) * width)
            query, key, value = queries[t, columns], keys[:, columns], values[:, columns]
            first = torch.softmax(key[:, :half] @ query[:half] / math.sqrt(half), dim=0)
            second = torch.softmax(key[:, half:] @ query[half:] / math.sqrt(half), dim=0)
            o1 = sum((first[s] - layer.beta * second[s]) * value[s] for s in range(len(x)))
            heads.append(torch.nn.functional.group_norm(o1[None], 1)[0])
        rows.append(torch.cat(heads))
    return torch.stack(rows)


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    heads=st.sampled_from([1, 2, 4]),
    beta=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_each_video_follows_the_equation(lengths: list[int], heads: int, beta: float) -> None:
    """The valid seconds of a padded batch equal the loop over each video alone."""
    layer = DifferentialAttention(5, 16, heads=heads, beta=beta).double()
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    x = torch.randn(*mask.shape, 5, dtype=torch.float64)

    out = layer(x, mask)

    for video, length in enumerate(lengths):
        torch.testing.assert_close(out[video, :length], slow_attention(layer, x[video, :length]))


def test_an_invalid_second_between_valid_ones_is_ignored() -> None:
    """It has no effect, like the padding after the end."""
    layer = DifferentialAttention(5, 16, heads=2, beta=0.5).double()
    x = torch.randn(1, 3, 5, dtype=torch.float64)

    out = layer(x, torch.tensor([[True, False, True]]))

    torch.testing.assert_close(out[0, [0, 2]], slow_attention(layer, x[0, [0, 2]]))


def test_one_second_is_not_attended_to() -> None:
    """Each softmax over one second is 1: W_Q, W_K and beta have no effect, and the matrices get no gradient."""
    x, mask = torch.randn(3, 1, 5, dtype=torch.float64), torch.ones(3, 1, dtype=torch.bool)
    layer = DifferentialAttention(5, 16, heads=2, beta=0.3).double()
    other = DifferentialAttention(5, 16, heads=2, beta=0.6).double()
    other.value.load_state_dict(layer.value.state_dict())

    out = layer(x, mask)
    out.square().sum().backward()

    torch.testing.assert_close(other(x, mask), out, rtol=1e-3, atol=1e-3)  # beta changes the norm's epsilon only
    assert layer.query.weight.grad is None
    assert layer.key.weight.grad is None
    assert layer.value.weight.grad is not None
    assert torch.equal(layer.maps(x, mask), torch.ones(3, 2, 2, 1, 1, dtype=torch.float64))


def sequences(lengths: list[int], width: int = 8) -> Encoded:
    """Make random padded sequences; phi is not used."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    seconds = torch.randn(*mask.shape, width, dtype=torch.float64)
    return Encoded(phi=seconds[:, 0], seconds=seconds, mask=mask)


def slow_block(block: CrossAttention, asking: Tensor, asked: Tensor) -> Tensor:
    """Compute cross-attention (H,) of one video from (T, H) and (S, H) without padding."""
    width = asking.shape[1] // block.heads
    w_key, w_value = block.key.weight, block.value.weight
    others = [block.other_norm(row) for row in asked]
    rows = []
    for second in asking:
        query = block.query.weight @ block.query_norm(second)
        heads = []
        for head in range(block.heads):
            columns = slice(head * width, (head + 1) * width)
            fits = torch.stack([(w_key @ other)[columns] @ query[columns] / math.sqrt(width) for other in others])
            weights = torch.softmax(fits, dim=0)
            values = [(w_value @ other)[columns] for other in others]
            heads.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
        attended = second + block.output(torch.cat(heads))
        rows.append(attended + block.feedforward(block.feedforward_norm(attended)))
    return sum(rows) / len(rows)


@settings(deadline=None, max_examples=25)
@given(pairs=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3))
def test_each_video_reads_its_own_other_modality(pairs: list[tuple[int, int]]) -> None:
    """A padded batch with modalities of different lengths equals the loop over each video alone."""
    block = CrossAttention(8, heads=2, feedforward_width=16, dropout=0.5).double().eval()
    asking, asked = sequences([pair[0] for pair in pairs]), sequences([pair[1] for pair in pairs])

    out = block(asking, asked)

    for video, (own, other) in enumerate(pairs):
        expected = slow_block(block, asking.seconds[video, :own], asked.seconds[video, :other])
        torch.testing.assert_close(out[video], expected)


def test_the_residual_path_gives_the_mean_of_the_modality() -> None:
    """If attention and the feed-forward layer add nothing, the output is the average of the input."""
    block = CrossAttention(8, heads=2, feedforward_width=16, dropout=0.0).double()
    for parameter in (*block.output.parameters(), *block.feedforward[-1].parameters()):
        nn.init.zeros_(parameter)
    asking = sequences([3])

    torch.testing.assert_close(block(asking, sequences([2])), asking.seconds.mean(1))
