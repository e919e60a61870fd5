"""The numbers by which features are generated: strengths, noises, and one switch for each property of real videos."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

# Every kind of random choice has its own stream, so that switching one property on changes no other choice.
_STREAMS = (
    "vectors",
    "lengths",
    "audio",
    "visual",
    "events",
    "backgrounds",
    "reliability",
    "foreign",
    "shared",
    "order",
    "spectrum",
)
_MODALITIES = (None, "audio", "visual")
_FRACTIONS = ("own", "missing_audio", "missing_visual", "order_pairs", "unreliable", "foreign_sound", "shared")
_BELOW_1 = ("zeros", "autocorrelation", "background")


@dataclass(frozen=True, kw_only=True)
class SyntheticRecipe:
    """The numbers by which features are made from class vectors.

    With the defaults, audio is the weaker modality. Strengths and noises are standard deviations of a feature.

    With the defaults, the seconds of a video are exchangeable and all videos are equally good. The fields from `zeros`
    on switch on properties of real videos, each by itself; 0 switches a property off and changes nothing. A video of
    one second shows no background and no order.

    Raises:
        ValueError: a field out of its range; the message names the field, its value and what is allowed.
    """

    audio_width: int = 512
    visual_width: int = 512
    text_width: int = 300  # of generated class vectors
    audio_strength: float = 0.4  # between classes
    visual_strength: float = 0.8
    own: float = 0.15  # fraction of the variance between classes that class vectors do not predict, 0 to 1
    noise: float = 1.0  # between the videos of a class
    second_noise: float = 1.0  # between the seconds of a video
    missing_audio: float = 0.0  # fraction of videos without audio; no video lacks both modalities
    missing_visual: float = 0.0
    dtype: Literal["float16", "float32"] = "float16"
    seed: int = 0

    # Features as after a ReLU. zeros: fraction of the values that are 0, the others are positive.
    zeros: float = 0.0
    # Exponent p of a power law: the k-th largest variance of a direction of the feature space is proportional to k^-p.
    spectrum: float = 0.0
    # Correlation of the seconds' noise from one second to the next (AR(1)), 0 to below 1.
    autocorrelation: float = 0.0
    # Fraction of a video's seconds that show a background instead of the class, 0 to below 1. The class is shown in
    # one run of seconds, at least one. Each class uses 3 of 8 backgrounds, so that classes share them.
    background: float = 0.0
    background_strength: float = 1.0  # between backgrounds; without effect if background is 0
    # Fraction of the classes that come in pairs which differ only in the order of two events; see events.py.
    order_pairs: float = 0.0
    # How far each event is from the mean of both, as a multiple of the modality's strength; only with order_pairs.
    order_strength: float = 1.0
    # 0 to 1: the largest part of the class that a modality of a video can lose. The part that is lost becomes noise.
    # It is drawn for each video and modality, and is often near 0 or near the largest.
    unreliable: float = 0.0
    foreign_sound: float = 0.0  # fraction of videos with the sound of a video of another class
    # Correlation between the two modalities of what distinguishes the videos of a class, 0 to 1.
    shared: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "dtype" and not 0 <= value < float("inf"):
                raise ValueError(f"{entry.name} is {value}, must be at least 0 and finite")
            if entry.name in _FRACTIONS and value > 1:
                raise ValueError(f"{entry.name} is {value}, must be at most 1")
            if entry.name in _BELOW_1 and value >= 1:
                raise ValueError(f"{entry.name} is {value}, must be less than 1")
        if self.missing_audio + self.missing_visual > 1:
            raise ValueError("missing_audio and missing_visual together are more than 1, but no video may lack both")

    def to_plain(self) -> dict[str, Any]:
        """Convert to plain values by name, without the fields of properties that are switched off."""
        names = [entry.name for entry in fields(self)]
        switches = names[names.index("zeros") :]
        unchanged = {name for name in switches if getattr(self, name) == getattr(SyntheticRecipe, name)}
        return {name: value for name, value in asdict(self).items() if name not in unchanged}

    def random(self, stream: str, modality: str | None = None) -> np.random.Generator:
        """Make the generator of one kind of random choices; equal recipes give equal choices.

        Args:
            stream: the kind of choices, a name of `_STREAMS`.
            modality: audio or visual for choices that differ between them; None for choices of whole videos.
        """
        number = _STREAMS.index(stream)
        return np.random.default_rng(
            [self.seed, number] if modality is None else [self.seed, number, _MODALITIES.index(modality)]
        )


# Recipes with names. lifelike has every property of real videos at a moderate strength, and a stronger class in each
# second, because a part of the seconds, of the modalities and of the features does not show the class.
RECIPES: Mapping[str, SyntheticRecipe] = {
    "plain": SyntheticRecipe(),
    "lifelike": SyntheticRecipe(
        audio_strength=0.8,
        visual_strength=1.2,
        zeros=0.4,
        spectrum=0.8,
        autocorrelation=0.6,
        background=0.4,
        order_pairs=0.3,
        unreliable=0.6,
        foreign_sound=0.1,
        shared=0.3,
    ),
}
