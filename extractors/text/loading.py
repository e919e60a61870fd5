"""Load the text encoder that a spec names."""

from pathlib import Path
from typing import TYPE_CHECKING

from extractors.text.encoder import TextEncoder
from extractors.text.spec import CLAP, CLIP, CLIP_CLAP, MINILM, PE_AV, TextSpec
from extractors.text.templates import Templates

if TYPE_CHECKING:
    from extractors.text.paired import PairedText


def load_text_encoder(
    spec: TextSpec,
    *,
    cache_dir: Path | None = None,
    models_dir: Path | None = None,
    templates: Templates | None = None,
) -> TextEncoder:
    """Load a text encoder.

    Args:
        spec: the encoder, from `parse_text_spec`.
        cache_dir: folder for the checksums of large files; None to cache none.
        models_dir: folder for models from the hub; None for `cache_dir`.
        templates: the templates of an encoder that is paired with an extractor; None for the usual ones. Other encoders
            take phrases as they are.

    Raises:
        TextSpecError: a spec that is neither a name nor a file.
        TextEncoderError: a file that is damaged or of another format, or a model that cannot be fetched.
    """
    spec.check()
    # Imported late: torch and transformers take seconds, and a file of vectors needs neither.
    if spec.kind == MINILM:
        from extractors.text.minilm import MiniLM  # noqa: PLC0415 - as above

        return MiniLM()
    if spec.kind in {CLIP, CLAP, PE_AV, CLIP_CLAP}:
        return _load_towers(spec, cache_dir, models_dir or cache_dir, templates or Templates())
    from extractors.text.vector_files import load_vectors  # noqa: PLC0415 - as above

    return load_vectors(Path(spec.location).expanduser(), form=spec.kind, cache_dir=cache_dir)


def _load_towers(
    spec: TextSpec, cache_dir: Path | None, models_dir: Path | None, templates: Templates
) -> "TextEncoder | PairedText":
    from extractors.text.clap import ClapText  # noqa: PLC0415 - as above
    from extractors.text.clip import ClipText  # noqa: PLC0415 - as above
    from extractors.text.paired import paired_clip_clap  # noqa: PLC0415 - as above
    from extractors.text.pe_av import paired_pe_av  # noqa: PLC0415 - as above
    from extractors.text.tower import model_folder  # noqa: PLC0415 - as above

    if spec.kind == CLIP:
        return ClipText(model_folder(spec.location, CLIP, models_dir), cache_dir)
    if spec.kind == CLAP:
        return ClapText(model_folder(spec.location, CLAP, models_dir), cache_dir)
    if spec.kind == PE_AV:
        return paired_pe_av(model_folder(spec.location, PE_AV, models_dir), cache_dir, templates)
    clip, clap = spec.locations
    return paired_clip_clap(
        ClipText(model_folder(clip, CLIP, models_dir), cache_dir),
        ClapText(model_folder(clap, CLAP, models_dir), cache_dir),
        templates,
    )
