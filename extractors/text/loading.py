"""Load the text encoder that a spec names."""

from pathlib import Path

from extractors.text.encoder import TextEncoder
from extractors.text.spec import CLIP, MINILM, TextSpec


def load_text_encoder(spec: TextSpec, *, cache_dir: Path | None = None) -> TextEncoder:
    """Load a text encoder.

    Args:
        spec: the encoder, from `parse_text_spec`.
        cache_dir: folder for models from the hub and for the checksums of large files. If None, models are in
            huggingface_hub's own cache and checksums are not cached.

    Raises:
        TextSpecError: a spec that is neither a name nor a file.
        TextEncoderError: a file that is damaged or of another format, or a model that cannot be fetched.
    """
    spec.check()
    # Imported late: torch and transformers take seconds, and a file of vectors needs neither.
    if spec.kind == MINILM:
        from extractors.text.minilm import MiniLM  # noqa: PLC0415 - as above

        return MiniLM()
    if spec.kind == CLIP:
        from extractors.text.clip import load_clip  # noqa: PLC0415 - as above

        return load_clip(spec, cache_dir)
    from extractors.text.vector_files import load_vectors  # noqa: PLC0415 - as above

    return load_vectors(Path(spec.location).expanduser(), form=spec.kind, cache_dir=cache_dir)
