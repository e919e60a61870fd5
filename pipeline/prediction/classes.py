"""Class names that a user asks for, known to a model or not, and their vectors."""

from collections.abc import Sequence
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


def parse_classes(text: str | None) -> list[str] | None:
    """Class names as given: "a, b, c", a text file with a name a line, or nothing (None: all that are known).

    A name may be several phrases with `|` between them, whose vectors are averaged: "dog barking|a dog barks".

    Raises:
        UsageError: no such file, an empty name, or a name twice.
    """
    if text is None or not text.strip():
        return None
    path = Path(text)
    if _exists(path) and path.is_dir():
        raise UsageError(f"{path} is a folder: give class names, or a text file with a name a line")
    if _exists(path):
        lines = read_text(path).splitlines()
        names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        where = str(path)
        if not names:
            raise UsageError(f"{path} names no classes: expected a name a line")
    elif path.suffix.lower() in _LIST_ENDINGS and "," not in text:
        raise UsageError(does_not_exist(path))
    else:
        names, where = [name.strip() for name in text.split(",")], "--classes"
    known: dict[Phrases, str] = {}
    for name in names:
        phrases = comparable_phrases(phrases_of_name(name))
        if not phrases:
            raise UsageError(
                f'{where}: a class name is empty; give names such as --classes "dog barking, playing drums"'
            )
        if phrases in known:
            raise UsageError(f"{where}: duplicate class names: {known[phrases]!r} and {name!r} read the same")
        known[phrases] = name
    return names


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long list of names is no path
        return False


def class_vectors(
    model: Model, classes: Sequence[str] | None, text: str | None
) -> tuple[list[str], NDArray[np.float32], NDArray[np.bool_]]:
    """Names, vectors (C, W), and which were trained on.

    Args:
        model: knows its own classes' vectors, which need no text encoder.
        classes: names, each with `|` between several phrases; None: the model's.
        text: the text encoder, if it is not where it was in training.

    Raises:
        UsageError: `text` is no text encoder, or a name has no vector.
        PipelineError: the text encoder is not the model's, or cannot be loaded.
    """
    known = {comparable_phrases(entry.phrases): place for place, entry in enumerate(model.classes)}
    known |= {comparable_phrases(map(phrase_of, entry.phrases)): place for place, entry in enumerate(model.classes)}
    known |= {comparable_phrases(phrases_of_name(entry.name)): place for place, entry in enumerate(model.classes)}
    if classes is None:
        classes = [entry.name for entry in model.classes]
        places: list[int | None] = [*range(len(classes))]
    else:
        places = [known.get(comparable_phrases(phrases_of_name(name))) for name in classes]
    vectors = np.zeros((len(classes), model.class_vectors.shape[1]), np.float32)
    new = [row for row, place in enumerate(places) if place is None]
    if new or text is not None:
        encoder = _text_encoder(model, text)
        vectors[new] = encode_classes(encoder, [phrases_of_name(classes[row]) for row in new])
    for row, place in enumerate(places):
        if place is not None:
            vectors[row] = model.class_vectors[place]
    seen = np.array([place is not None and model.classes[place].seen for place in places])
    return list(classes), vectors, seen


def _text_encoder(model: Model, text: str | None) -> TextEncoder:
    """The text encoder that made the model's class vectors, and no other."""
    identity = model.text_encoder
    try:
        encoder = load_encoder(read_spec(text) if text else model.text_spec)
    except UsageError as error:
        if text is not None:
            raise
        raise PipelineError(
            f"the class vectors that the model was trained with are no longer at {model.text_spec}: "
            f"say where with --text FILE ({identity['encoder']}, sha256 {identity['sha256']})"
        ) from error
    if any(identity.get(name) != value for name, value in encoder.identity.items()):
        raise PipelineError(
            f"{text or model.text_spec} is another text encoder than the model was trained with "
            f"({encoder.identity['encoder']} instead of {identity['encoder']}, or other weights; the model's sha256 is "
            f"{identity['sha256']}): leave --text out, or train a model with it"
        )
    return encoder
