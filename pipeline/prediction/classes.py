"""Parse the class names that a user gives, and find their vectors; the model may not know the classes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.text.encoder import TextEncoder
from extractors.text.phrases import phrase_of
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.files import read_text
from pipeline.base.wording import does_not_exist
from pipeline.class_embeddings.embed import encode_classes, load_encoder, read_spec
from pipeline.datasets.phrases import Phrases, comparable_phrases, phrases_of_name
from pipeline.training.trained_model import Model

_LIST_ENDINGS = {".txt", ".csv", ".list"}


def parse_classes(text: str | None) -> dict[str, Phrases] | None:
    """Parse the class names that a user gives.

    A name may consist of several phrases with `|` between them, "dog barking|a dog barks". Their vectors are averaged.

    Args:
        text: names such as "a, b, c", or a text file with one name per line; None or empty for all known classes.

    Returns:
        Class name -> its phrases; None for all known classes.

    Raises:
        UsageError: a file that does not exist, an empty name, or a duplicate name.
    """
    if text is None or not text.strip():
        return None
    path = Path(text)
    if _exists(path) and path.is_dir():
        raise UsageError(f"{path} is a folder: give class names, or a text file with one name per line")
    if _exists(path):
        lines = read_text(path).splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        where = str(path)
        if not names:
            raise UsageError(f"{path} contains no class names: expected one name per line")
    elif path.suffix.lower() in _LIST_ENDINGS and "," not in text:
        raise UsageError(does_not_exist(path))
    else:
        names, where = [name.strip() for name in text.split(",")], "--classes"
    classes: dict[str, Phrases] = {}
    known: dict[Phrases, str] = {}
    for name in names:
        phrases = phrases_of_name(name)
        comparable = comparable_phrases(phrases)
        if not comparable:
            raise UsageError(
                f'{where}: a class name is empty; give names such as --classes "dog barking, playing drums"'
            )
        if comparable in known:
            raise UsageError(f"{where}: duplicate class names: {known[comparable]!r} and {name!r} read the same")
        known[comparable] = name
        classes[name] = phrases
    return classes


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long list of names is not a path
        return False


def class_vectors(
    model: Model, classes: Mapping[str, Phrases] | None, text: str | None
) -> tuple[list[str], NDArray[np.float32], NDArray[np.bool_]]:
    """Find the vectors of class names.

    Args:
        model: the model, which contains the vectors of its own classes.
        classes: class name -> its phrases; None for the model's classes.
        text: the text encoder, if its path changed since training; None for the path that the model records.

    Returns:
        The names, their vectors (C, W), and flags (C,) of the classes that were trained on.

    Raises:
        UsageError: a `text` that is not a text encoder, or a name without a vector.
        PipelineError: a text encoder that is not the model's or cannot be loaded.
    """
    known = {comparable_phrases(entry.phrases): index for index, entry in enumerate(model.classes)}
    known |= {comparable_phrases(map(phrase_of, entry.phrases)): index for index, entry in enumerate(model.classes)}
    known |= {comparable_phrases(phrases_of_name(entry.name)): index for index, entry in enumerate(model.classes)}
    if classes is None:
        classes = {entry.name: entry.phrases for entry in model.classes}
        indices: list[int | None] = [*range(len(classes))]
    else:
        indices = [known.get(comparable_phrases(phrases)) for phrases in classes.values()]
    vectors = np.zeros((len(classes), model.class_vectors.shape[1]), np.float32)
    new = [row for row, index in enumerate(indices) if index is None]
    if new or text is not None:
        encoder = _text_encoder(model, text)
        phrases = list(classes.values())
        vectors[new] = encode_classes(encoder, [phrases[row] for row in new])
    for row, index in enumerate(indices):
        if index is not None:
            vectors[row] = model.class_vectors[index]
    seen = np.array([index is not None and model.classes[index].seen for index in indices])
    return list(classes), vectors, seen


def _text_encoder(model: Model, text: str | None) -> TextEncoder:
    """Load the text encoder that made the model's class vectors; refuse any other."""
    identity = model.text_encoder
    try:
        encoder = load_encoder(read_spec(text) if text else model.text_spec)
    except UsageError as error:
        if text is not None:
            raise
        raise PipelineError(
            f"the class vectors that the model was trained with are no longer at {model.text_spec}: "
            f"give their path with --text FILE ({identity['encoder']}, sha256 {identity['sha256']})"
        ) from error
    if any(identity.get(name) != value for name, value in encoder.identity.items()):
        raise PipelineError(
            f"{text or model.text_spec} is another text encoder than the model was trained with "
            f"({encoder.identity['encoder']} instead of {identity['encoder']}, or other weights; the model's sha256 is "
            f"{identity['sha256']}): leave --text out, or train a model with it"
        )
    return encoder
