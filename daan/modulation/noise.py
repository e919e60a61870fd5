"""The noise eps of CSGM's update (DAAN paper, eq. 8).

C: the covariance of eps is illegible in our copy of the paper. Here each matrix of QDMA has one standard deviation:
W_Q, W_K, W_V, the refinement, each convolution, and each bias. With one deviation for several matrices, the matrix with
the largest gradient would drown the others in noise.
"""

import torch
from torch import Tensor

from daan.modulation.pair_gradients import matrices_of
from daan.network import Daan


class PairSquares:
    """Sums over the pairs of a step of |M_i g_i|^2, for each matrix of QDMA's layers.

    A matrix is identified by the first of the parameters that make it up.

    Args:
        wanted: whether the sums are needed.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self._sums: dict[Tensor, Tensor] = {}

    def add(self, matrix: Tensor, squared: Tensor) -> None:
        """Add the sum () over the pairs of a micro-batch."""
        self._sums[matrix] = self._sums[matrix] + squared if matrix in self._sums else squared

    def scale(self, matrix: Tensor, factor: Tensor) -> None:
        """Multiply the sum of a matrix by a factor ()."""
        if matrix in self._sums:
            self._sums[matrix] = self._sums[matrix] * factor

    def of(self, matrix: Tensor) -> Tensor:
        """Return the sum () of a matrix."""
        return self._sums[matrix]


@torch.no_grad()
def add_noise(network: Daan, squares: PairSquares, pairs: int) -> None:
    """Add Gaussian noise to every matrix of QDMA's gradients (DAAN paper, eq. 8).

    An entry whose gradient is exactly zero gets no noise: the batch says nothing about it, and Adam would move it at
    the full rate.

    Args:
        network: network with its gradients.
        squares: sums over the pairs of the step; used for the scale `sgd` only.
        pairs: number of pairs of the step.
    """
    if network.config.noise == 0:
        return
    for _, _, layer in network.branch_layers:
        for matrix in matrices_of(layer):
            gradients = [each.grad for each in matrix if each.grad is not None]
            if gradients:
                squared = squares.of(matrix[0]) if squares.wanted else None
                _add_noise_to(gradients, network.config.noise, squared, pairs)


def _add_noise_to(gradients: list[Tensor], noise: float, squared: Tensor | None, pairs: int) -> None:
    """Add noise to the gradients that make up one matrix, all with the same deviation.

    Args:
        gradients: gradients of the parts of the matrix; changed in place.
        noise: factor of the standard deviation.
        squared: sum over the pairs of |M_i g_i|^2 for the scale `sgd`; None for the scale `gradient`.
        pairs: number B of pairs.
    """
    counts = [each.count_nonzero() for each in gradients]
    count = _sum(counts).clamp_min(1)
    total = _sum([torch.linalg.vector_norm(each).square() for each in gradients])
    if squared is None:  # the standard deviation of the gradient's entries, as in OGM-GE
        mean = _sum([each.sum() for each in gradients]) / count
        variance = total / count - mean.square()
    else:  # the variance of a sum of B independent pair gradients, estimated from their spread in the batch
        variance = (squared - total / pairs) * (pairs / max(pairs - 1, 1)) / count
    deviation = noise * variance.clamp_min(0).sqrt()
    for gradient, used in zip(gradients, counts, strict=True):
        drawn = torch.randn_like(gradient)
        if gradient.is_cuda or used < gradient.numel():  # a GPU would make the host wait for the answer
            drawn *= gradient.sign().abs()  # 0 or 1; faster than a product with flags
        gradient.addcmul_(drawn, deviation)


def _sum(values: list[Tensor]) -> Tensor:
    """Add tensors; most matrices have one part, for which there is nothing to add."""
    return sum(values[1:], values[0])
