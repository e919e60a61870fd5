"""The settings of the training stage, of held-out classes and of class embeddings."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import pydantic

from extractors.text.templates import Templates
from pipeline.base.csv_tables import split_names
from pipeline.base.yaml_text import parse_yaml


def _listed(value: object) -> object:
    """Split the text `a, "b, c"` or `[a, "b, c"]` of --set into the list that a YAML file would give."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("[") and value.strip().endswith("]"):
        return parse_yaml(value, "the list", texts_only=True)
    return [entry for entry in split_names(value) if entry]


# Whose order of class embeddings is repeated.
LegacyOrder = Literal["off", "avca", "clipclap"]


def _named_order(value: object) -> object:
    """Translate the values of earlier versions, true and false."""
    return {"true": "avca", "false": "off"}.get(str(value).lower(), value)


# The methods that can be trained; pipeline/training/methods.py loads them.
MethodName = Literal[
    "daan", "avca", "tcaf", "clipclap", "mft", "lsc", "cjme", "avgzslnet", "devise", "ale", "sje", "apn", "zero-shot"
]


def section_of(method: str) -> str:
    """Return the name of the section with a method's options; a name of Python has no hyphen."""
    return method.replace("-", "_")


_ManyTexts = Annotated[tuple[str, ...], pydantic.BeforeValidator(_listed)]
_ManyNumbers = Annotated[tuple[int, ...], pydantic.BeforeValidator(_listed)]


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """The settings of class embeddings."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    # auto: the text encoder recorded in the workspace, or minilm if there is none. Or minilm, clip:FOLDER, clip:MODEL,
    # or a file of vectors (fasttext:FILE, word2vec:FILE, glove:FILE, or only the path: the format is recognised).
    encoder: str = "auto"
    # Give classes the wrong vectors that published code gives them, for comparison: avca (the code of AVCA and TCaF) or
    # clipclap, which has other names for the classes of UCF. true means avca.
    legacy_class_order: Annotated[LegacyOrder, pydantic.BeforeValidator(_named_order)] = "off"
    # The texts that the phrase {} of a class is put into, for text encoders that are paired with an extractor
    # (clip-clap and pe-av); their vectors are averaged. Other text encoders take phrases as they are.
    sight_templates: _ManyTexts = ("a video of {}",)
    sound_templates: _ManyTexts = ("the sound of {}",)

    def __post_init__(self) -> None:
        self.templates  # noqa: B018 - refuses wrong ones

    @property
    def templates(self) -> Templates:
        """The templates of a paired text encoder."""
        return Templates(self.sight_templates, self.sound_templates)


@dataclass(frozen=True, kw_only=True)
class HoldOutSettings:
    """The settings that choose the unseen classes if a dataset has no splits, or if its splits should not be used."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    unseen: _ManyTexts = ()  # classes to hold out for test, by name or phrase; empty: random classes
    anew: bool = False  # hold random classes out even if the dataset has splits
    unseen_fraction: float = 0.25  # fraction of the classes for test, and of the other classes for validation
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.unseen_fraction < 1:
            raise ValueError(f"unseen_fraction is {self.unseen_fraction}, must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """The settings of the distances that a trained method predicts by."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    # Mix them with those of the frozen encoders, on features whose extractor has a text encoder (clip-clap and pe-av).
    # The weight is chosen on the validation videos, and may be 0.
    anchor: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of training (see daan/README.md). P marks a value of the paper, C our own choice.

    The paper does not mention `clip_norm`, `precision` and `accumulate`; their defaults change nothing. They are for
    larger networks: clipping limits the effect of a rare bad batch, and bfloat16 is faster on a GPU. Accumulation
    splits a batch of pairs into micro-batches that fit into memory. Batch statistics and CSGM rates are then those of
    a micro-batch.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid", "allow_inf_nan": False}

    method: MethodName = "daan"  # what is trained; its options stand in the section of this name
    extractor: str = ""  # whose features to train on; empty: those that the workspace used last
    # C: paper: as the other settings say; small: a small network and fewer steps; auto: small for few training videos
    network: Literal["auto", "paper", "small"] = "auto"
    epochs: int = 50  # C (as AVCA)
    batch_pairs: int = 256  # C: batch statistics of 512 videos are stable; at most the number of training videos
    steps_per_epoch: int = 0  # C; 0: one pass over the videos, but at least 20 steps, so that small sets are learned
    validations_per_epoch: int = 0  # C; 0: one per 100 steps, at least one; a long epoch can be best in its middle
    least_validation_videos: int = 20  # C: fewer choose no epoch, learning rate, beta or temperature
    learning_rate: float = 1e-3  # P
    weight_decay: float = 1e-5  # C (as AVCA)
    optimizer: Literal["adam", "sgd"] = "adam"  # P: Adam. C: sgd, under which a constant factor of the gradient counts
    momentum: float = 0.9  # C; of sgd
    # C: steps without a higher validation HM before the learning rate is lowered and training goes back to the best
    # weights; 6 validations of the presets. AVCA lowers it at the fourth validation, one per 500 steps
    patience_steps: int = 600
    learning_rate_factor: float = 0.1  # C (as AVCA)
    least_learning_rate: float = 1e-5  # C: stage 1 ends when the rate falls below it; hardly anything changes then
    standardise: bool = True  # C: features get mean 0, deviation 1 over the training seconds; not in the paper
    clip_norm: float = 0.0  # C; largest norm of the whole gradient before the Adam step; 0: no limit
    precision: Literal["float32", "bfloat16"] = "float32"  # C; precision of products, by autocast; weights stay float32
    accumulate: int = 1  # C; number of micro-batches per batch; their gradients are added before a step
    checkpoint_minutes: float = 5.0  # C; most work that a kill inside an epoch can lose; changes no result
    seed: int = 0
    seeds: _ManyNumbers = ()  # one run per seed, instead of `seed`; all runs use the same splits

    def __post_init__(self) -> None:
        at_least = {
            "epochs": 1,
            "batch_pairs": 2,
            "steps_per_epoch": 0,
            "least_validation_videos": 1,
            "weight_decay": 0,
            "patience_steps": 1,
            "validations_per_epoch": 0,
            "clip_norm": 0,
            "accumulate": 1,
            "checkpoint_minutes": 0,
            "least_learning_rate": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least {least}")
        if self.accumulate > self.batch_pairs:
            raise ValueError(
                f"accumulate is {self.accumulate}, must be at most batch_pairs ({self.batch_pairs}): "
                "a micro-batch needs at least one pair"
            )
        for seed in (self.seed, *self.seeds):
            if not 0 <= seed < 2**63:
                raise ValueError(f"seed is {seed}, must be at least 0 and less than 2^63")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {', '.join(map(str, self.seeds))}: give each seed once")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, must be greater than 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}, must be at least 0 and less than 1")
        if not 0 < self.learning_rate_factor < 1:
            raise ValueError(
                f"learning_rate_factor is {self.learning_rate_factor}, must be greater than 0 and less than 1; "
                "to keep the learning rate, give a high training.patience_steps, such as 1000000000"
            )
