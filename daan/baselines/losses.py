"""The losses that the methods share (daan/pages/README.md).

Legend: B videos, C classes, O width of the shared space.
"""

import torch.nn.functional as F
from torch import Tensor


def triplet(anchor: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Compute the mean over B of max(|anchor - near| - |anchor - far| + 1, 0), each (B, K)."""
    return F.triplet_margin_loss(anchor, near, far)


def class_family(
    theta_o: Tensor,
    theta_w: Tensor,
    theta_table: Tensor,
    labels: Tensor,
    *,
    decoded_video: Tensor,
    decoded_text: Tensor,
    target: Tensor,
) -> dict[str, Tensor]:
    """Compute l_ce, l_rec and l_reg (TCaF, eq. 9 to 13).

    Args:
        theta_o: (B, O) embeddings of the videos.
        theta_w: (B, O) embeddings of their classes.
        theta_table: (C, O) embeddings of all training classes.
        labels: (B,) row of each video's class in the table.
        decoded_video: (B, K) rho_o, decoded from theta_o.
        decoded_text: (B, K) rho_w, decoded from theta_w.
        target: (B, K) what both should be: the class embeddings, or a learned embedding of them.
    """
    return {
        "cross_entropy": F.cross_entropy(theta_o @ theta_table.T, labels),
        "reconstruction": F.mse_loss(decoded_video, target) + F.mse_loss(decoded_text, target),
        "regularisation": F.mse_loss(theta_o, theta_w),
    }


def kl_of_coordinates(theta_o: Tensor, theta_w: Tensor) -> Tensor:
    """Compute the mean over B of KL(softmax(theta_w) || softmax(theta_o)) over the coordinates of (B, O)."""
    return _kl(theta_w.log_softmax(-1), theta_o.log_softmax(-1))


def kl_of_classes(theta_o: Tensor, theta_table: Tensor, labels: Tensor, class_table: Tensor) -> Tensor:
    """Compute how far the classes' likeness to a video is from their likeness to its class.

    It is the mean over B of KL(softmax_c(w_y . w_c / 0.1) || softmax_c(theta_o . theta_c)), with w of length 1 (C).

    Args:
        theta_o: (B, O) embeddings of the videos.
        theta_table: (C, O) embeddings of the training classes.
        labels: (B,) row of each video's class in the table.
        class_table: (C, W) class embeddings w.
    """
    likeness = unit(class_table)[labels] @ unit(class_table).T
    target = (likeness / 0.1).log_softmax(-1)
    return _kl(target, (theta_o @ theta_table.T).log_softmax(-1))


def _kl(log_target: Tensor, log_found: Tensor) -> Tensor:
    return F.kl_div(log_found, log_target, reduction="batchmean", log_target=True)


def cosine_to_label(theta_o: Tensor, theta_w: Tensor) -> Tensor:
    """Compute the mean over B of 1 - cos(theta_o, theta_w)."""
    return (1 - F.cosine_similarity(theta_o, theta_w)).mean()


def cosine_within_class(theta_o: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean of 1 - cos over all pairs of different videos of one class in the batch; 0 without a pair."""
    scaled = unit(theta_o)
    same = (labels[:, None] == labels[None]).triu(1)
    return ((1 - scaled @ scaled.T) * same).sum() / same.sum().clamp_min(1)


def hinges(similarity: Tensor, labels: Tensor, *, margin: float = 0.1) -> Tensor:
    """Compute max(0, margin + s_c - s_y) (B, C) for the wrong classes, and 0 for the right one.

    Args:
        similarity: s (B, C).
        labels: (B,) the right classes y.
        margin: by how much the right class must be ahead.
    """
    right = similarity.gather(1, labels[:, None])
    return (margin + similarity - right).clamp_min(0).scatter(1, labels[:, None], 0.0)


def entropy(logits: Tensor) -> Tensor:
    """Compute the entropy (B,) of softmax(logits), in nats."""
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def unit(x: Tensor) -> Tensor:
    """Scale vectors to length 1; zeros stay zeros."""
    return F.normalize(x, dim=-1)


def gate_target(audio_entropy: Tensor, visual_entropy: Tensor, *, slack: float = 0.1) -> Tensor:
    """Decide by entropies (B,) which modality is surer of the class: 1 visual, 0 audio, 0.5 neither (CJME)."""
    ahead = (audio_entropy > visual_entropy + slack).to(audio_entropy.dtype)
    behind = (visual_entropy > audio_entropy + slack).to(audio_entropy.dtype)
    return 0.5 + 0.5 * (ahead - behind)
