"""What `avzsl extractors` lists: every extractor, and whether it can be used here and now."""

from dataclasses import dataclass

from extractors.errors import WeightsError
from extractors.registry import about_extractors, extractor_family, install_hint, missing_library
from pipeline.base.workspace import cache_folder


@dataclass(frozen=True)
class ListedExtractor:
    """One line of `avzsl extractors`."""

    name: str
    title: str
    picture: str  # the encoder of pictures and the width of its vectors; empty if there is none
    sound: str
    text: bool  # whether class names have vectors in the same spaces
    licence: str
    state: str  # whether its weights are here
    here: bool
    summary: str


def list_extractors() -> list[ListedExtractor]:
    """Describe every extractor, the default one first."""
    found = []
    for about in about_extractors():
        state, here = _state(about.name, about.download)
        found.append(
            ListedExtractor(
                name=about.name,
                title=about.title,
                picture=about.picture,
                sound=about.sound,
                text=about.text,
                licence=about.licence,
                state=state,
                here=here,
                summary=about.summary,
            )
        )
    return found


def _state(name: str, download: str) -> tuple[str, bool]:
    library = missing_library(name)
    if library:
        return f"needs {library}: {install_hint(name)}", False
    try:
        here = extractor_family(name).is_cached(cache_folder() / "weights")
    except WeightsError as error:
        return f"damaged: {error}", False
    if here:
        return "in the cache", True
    return (f"fetched when needed ({download})", False) if download else ("give --weights", False)
