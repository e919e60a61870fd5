"""The kinds of features in the published tables: main, cls and clip. Results of two kinds must not be compared.

They are described in pipeline/avgzsl_benchmark/README.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractors.registry import EXTRACTORS, about_extractor
from pipeline.features.store import open_store


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

# The extractors whose features can be those of a published table, if their widths are; None: features that say nothing.
_OF_PUBLISHED_TABLES = {"selavi", "vggish-c3d", "imported", "synthetic", None}


def kind_of(attributes: Mapping[str, Any], *, audio_width: int, visual_width: int) -> FeatureKind | None:
    """Return the kind of the features of a store; None for a kind that no published table uses.

    Args:
        attributes: the root attributes of the features.
        audio_width: width of an audio vector.
        visual_width: width of a visual vector.
    """
    if attributes.get("extractor") not in _OF_PUBLISHED_TABLES:
        return None
    fitting = [
        kind for kind in FEATURE_KINDS.values() if (kind.audio_width, kind.visual_width) == (audio_width, visual_width)
    ]
    return fitting[0] if fitting and attributes.get("weights") != "untrained" else None


def encoders_of(attributes: Mapping[str, Any], *, audio_width: int, visual_width: int) -> str:
    """Name the encoders of features for a message: those of a published kind, SeLaVi's untrained ones, or none known.

    Args:
        attributes: the root attributes of the features.
        audio_width: width of an audio vector.
        visual_width: width of a visual vector.
    """
    kind = kind_of(attributes, audio_width=audio_width, visual_width=visual_width)
    extractor = attributes.get("extractor")
    if extractor == "synthetic":
        return "generated"
    if extractor in EXTRACTORS and extractor != "selavi":
        return f"of {about_extractor(str(extractor)).title}"
    if extractor == "selavi":
        return "of SeLaVi" + (", untrained" if attributes.get("weights") == "untrained" else "")
    return f"of {kind.title}" if kind else ""


def widths_in(features: Path) -> tuple[int, int]:
    """Read the widths of the audio and of the visual vectors of a features.h5.

    Raises:
        StorageError: a file that cannot be read.
    """
    with open_store(features) as store:
        return store.features("audio").shape[1], store.features("visual").shape[1]


def kind_in(features: Path) -> FeatureKind | None:
    """Return the kind of the features in a features.h5; None for a kind that no published table uses.

    Raises:
        StorageError: a file that cannot be read.
    """
    with open_store(features) as store:
        audio, visual = (store.features(modality).shape[1] for modality in ("audio", "visual"))
        return kind_of(store.attributes, audio_width=audio, visual_width=visual)
