"""How DAAN is trained: options of the training stage, of held-out classes and of class embeddings."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Where class embeddings come from."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    encoder: str = "minilm"  # or the path of a file of vectors: word2vec, GloVe, the benchmark's .npy


@dataclass(frozen=True, kw_only=True)
class HoldOutSettings:
    """Which classes stay unseen where a dataset brings no splits."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    unseen_fraction: float = 0.25  # of the classes for test, and of the rest for validation
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.unseen_fraction < 1:
            raise ValueError(f"unseen_fraction is {self.unseen_fraction}, must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the network is fitted (daan.md, section 7; P marks the paper's, C our choice)."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    epochs: int = 50  # P (as AVCA)
    batch_pairs: int = 256  # C; at most as many as there are training videos
    steps_per_epoch: int = (
        0  # C; 0: one pass over the videos, and at least 20 steps, so that small sets are learned too
    )
    least_validation_videos: int = 20  # C: with fewer they choose neither epoch, learning rate nor temperature
    learning_rate: float = 1e-3  # P
    weight_decay: float = 1e-5  # C
    patience_epochs: int = 3  # C (as AVCA): the learning rate falls when validation HM has not risen for so long
    learning_rate_factor: float = 0.1  # C (as AVCA)
    standardise: bool = True  # C: features get mean 0 and deviation 1 over the training seconds; the paper does not say
    seed: int = 0

    def __post_init__(self) -> None:
        at_least = {
            "epochs": 1,
            "batch_pairs": 2,
            "steps_per_epoch": 0,
            "least_validation_videos": 1,
            "weight_decay": 0,
            "patience_epochs": 1,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}, must be at least 0 and less than 2^63")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, must be greater than 0")
        if not 0 < self.learning_rate_factor <= 1:
            raise ValueError(f"learning_rate_factor is {self.learning_rate_factor}, must lie in (0, 1]")
