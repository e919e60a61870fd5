"""How DAAN is trained: options of the training stage, of held-out classes and of class embeddings."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pydantic


def _listed(value: object) -> object:
    """`a, b` of --set as the list that YAML would bring."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_ManyTexts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_listed)]
_ManyNumbers = Annotated[tuple[int, ...], pydantic.BeforeValidator(_listed)]


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Where class embeddings come from."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    # auto: the one that the workspace remembers, else minilm. Or minilm, clip:FOLDER, clip:MODEL, or a file of vectors
    # (fasttext:FILE, word2vec:FILE, glove:FILE; the path alone: its format is recognised).
    encoder: str = "auto"
    legacy_class_order: bool = False  # give classes the wrong vectors that published code gives them, to compare


@dataclass(frozen=True, kw_only=True)
class HoldOutSettings:
    """Which classes stay unseen where a dataset brings no splits, or should not be used as it was split."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    unseen: _ManyTexts = ()  # classes to hold out for test, by name or phrase; empty: a random share
    anew: bool = False  # hold a random share out even where the dataset brings splits
    unseen_fraction: float = 0.25  # of the classes for test, and of the rest for validation
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.unseen_fraction < 1:
            raise ValueError(f"unseen_fraction is {self.unseen_fraction}, must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How the network is fitted (daan.md, section 7; P marks the paper's, C our choice).

    `clip_norm`, `precision` and `accumulate` change nothing at their defaults, as the paper names none of them. They
    are here for larger networks: clipping tames a rare bad batch, bfloat16 is faster on a GPU, and accumulation lets
    a batch of pairs go through in pieces that fit into memory, at the price of batch statistics and CSGM rates that
    are those of a piece.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    epochs: int = 50  # P (as AVCA)
    batch_pairs: int = 256  # C: batch statistics of both videos' 512 are steady; at most as many as training videos
    steps_per_epoch: int = (
        0  # C; 0: one pass over the videos, and at least 20 steps, so that small sets are learned too
    )
    least_validation_videos: int = 20  # C: with fewer they choose neither epoch, learning rate nor temperature
    learning_rate: float = 1e-3  # P
    weight_decay: float = 1e-5  # C: mild, against overfitting
    patience_epochs: int = 3  # C (as AVCA): epochs without a rise of validation HM; at the next the learning rate falls
    learning_rate_factor: float = 0.1  # C (as AVCA)
    standardise: bool = True  # C: features get mean 0 and deviation 1 over the training seconds; the paper does not say
    clip_norm: float = 0.0  # C; largest norm of the whole gradient before Adam sees it; 0: any
    precision: Literal["float32", "bfloat16"] = "float32"  # C; of products, by autocast; weights stay float32
    accumulate: int = 1  # C; pieces of a batch whose gradients add up before a step
    checkpoint_minutes: float = 5.0  # C; how much work a kill can cost inside an epoch; changes no result
    seed: int = 0
    seeds: _ManyNumbers = ()  # one run each, in place of `seed`; they share the splits

    def __post_init__(self) -> None:
        at_least = {
            "epochs": 1,
            "batch_pairs": 2,
            "steps_per_epoch": 0,
            "least_validation_videos": 1,
            "weight_decay": 0,
            "patience_epochs": 1,
            "clip_norm": 0,
            "accumulate": 1,
            "checkpoint_minutes": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")
        if self.accumulate > self.batch_pairs:
            raise ValueError(
                f"accumulate is {self.accumulate}, must be at most batch_pairs ({self.batch_pairs}): "
                "a piece holds at least one pair"
            )
        for seed in (self.seed, *self.seeds):
            if not 0 <= seed < 2**63:
                raise ValueError(f"seed is {seed}, must be at least 0 and less than 2^63")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {', '.join(map(str, self.seeds))}: each may be there once")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, must be greater than 0")
        if not 0 < self.learning_rate_factor <= 1:
            raise ValueError(f"learning_rate_factor is {self.learning_rate_factor}, must lie in (0, 1]")
