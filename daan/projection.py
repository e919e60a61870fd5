"""Into the shared space and back out of it (DAAN paper, sections II-B and II-C)."""

from torch import nn


def projection(input_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """(B, input_width) to (B, output_width): Linear, BatchNorm, ReLU, Dropout."""
    return nn.Sequential(
        # No bias: the normalisation behind it would cancel it.
        nn.Linear(input_width, output_width, bias=False),
        nn.BatchNorm1d(output_width),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def reconstruction(input_width: int, hidden_width: int, output_width: int, *, dropout: float) -> nn.Sequential:
    """(B, input_width) to (B, output_width): a projection, then Linear, which can reach negative values (C)."""
    return nn.Sequential(*projection(input_width, hidden_width, dropout=dropout), nn.Linear(hidden_width, output_width))
