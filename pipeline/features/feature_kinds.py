"""The kinds of features in the published tables: main, cls and clip. Results of two kinds must not be compared.

They are described in pipeline/avgzsl_benchmark/README.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FeatureKind:
    """A kind of features in the published tables.

    Attributes:
        name: the name in commands and presets.
        title: the encoders.
        audio_width: width of an audio vector.
        visual_width: width of a visual vector.
        text_width: width of the published class embeddings.
        split: the folder in class-split that the published results use.
        paired_text: whether the class embeddings come from text encoders that were trained with these encoders.
    """

    name: str
    title: str
    audio_width: int
    visual_width: int
    text_width: int
    split: str
    paired_text: bool = False


FEATURE_KINDS: Mapping[str, FeatureKind] = {
    kind.name: kind
    for kind in (
        FeatureKind("main", "SeLaVi", 512, 512, 300, "main_split"),
        FeatureKind("cls", "C3D and VGGish", 128, 4096, 300, "cls_split"),
        FeatureKind("clip", "CLIP and CLAP", 1024, 512, 512 + 1024, "cls_split", paired_text=True),
    )
}


def kind_of(attributes: Mapping[str, Any], *, audio_width: int, visual_width: int) -> FeatureKind | None:
    """Return the kind of the features of a store; None for a kind that no published table uses.

    Args:
        attributes: the root attributes of the features.
        audio_width: width of an audio vector.
        visual_width: width of a visual vector.
    """
    if attributes.get("extractor") == "selavi":
        return FEATURE_KINDS["main"]
    fitting = [
        kind for kind in FEATURE_KINDS.values() if (kind.audio_width, kind.visual_width) == (audio_width, visual_width)
    ]
    return fitting[0] if fitting else None
