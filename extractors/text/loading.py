"""Load the text encoder that a spec names."""

from pathlib import Path

from extractors.text.encoder import TextEncoder
from extractors.text.spec import CLIP, MINILM, parse_text_spec


def load_text_encoder(spec: str, *, cache_dir: Path | None = None) -> TextEncoder:
    """The text encoder that `spec` names.

    Args:
        spec: `minilm`; the path of a file of vectors, alone or behind `fasttext:`, `word2vec:`, `glove:` or `file:`
            (any format); `clip:` and a folder or the name of a model on the hub.
        cache_dir: where models from the hub are kept, and the checksums of large files; None: models where
            huggingface_hub keeps them, checksums nowhere.

    Raises:
        TextSpecError: neither a name nor a file.
        TextEncoderError: the file is damaged or of another format, or a model is not here and cannot be fetched.
    """
    chosen = parse_text_spec(spec)
    # Imported late: torch and transformers take seconds, and a file of vectors needs neither.
    if chosen.kind == MINILM:
        from extractors.text.minilm import MiniLM  # noqa: PLC0415 - as above

        return MiniLM()
    if chosen.kind == CLIP:
        from extractors.text.clip import load_clip  # noqa: PLC0415 - as above

        return load_clip(chosen, cache_dir)
    from extractors.text.vector_files import load_vectors  # noqa: PLC0415 - as above

    return load_vectors(Path(chosen.place).expanduser(), form=chosen.kind, cache_dir=cache_dir)
