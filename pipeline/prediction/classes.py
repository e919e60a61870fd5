"""Parse the class names that a user gives, and find their vectors; the model may not know the classes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extractors.text.encoder import TextEncoder
from extractors.text.paired import PairedText
from extractors.text.phrases import phrase_of
from extractors.text.templates import Templates
from pipeline.base.csv_tables import split_names, with_known_names
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.files import read_text
from pipeline.base.progress import Reporter, SilentReporter
from pipeline.base.wording import counted, not_a_file
from pipeline.class_embeddings.embed import load_encoder, read_spec
from pipeline.class_embeddings.kept import encode_kept
from pipeline.class_embeddings.neighbours import THE_SAME, alike_classes
from pipeline.datasets.dataset import read_phrases
from pipeline.datasets.phrases import Phrases, comparable_phrases, phrases_of_name, phrases_text
from pipeline.prediction.same_class import resemblances
from pipeline.training.trained_model import Model

_LIST_ENDINGS = {".txt", ".csv", ".list"}
_PLACE = re.compile(r"(?P<number>\d+)(?:[.:)]\s*|[\s,;]+)(?P<name>\S.*)")  # 1 yoga; 1. yoga; 1,yoga
_COUNTS = re.compile(r"(?P<name>\S.*?)(?:\s*[\t,;]\s*\d+)+")  # yoga,855,95
_NUMBER_AT_END = re.compile(r'(?P<name>[^"].*\S)\s+\d+')  # a count after a blank, or a part of the name
_LAST_NUMBER = re.compile(r"(?P<name>\S.*?)\s+(?P<number>\d+)")  # yoga 0
_MARK = re.compile(r"(?:[-*•]\s+|n\d{8}[\s,:]+)(?P<name>\S.*)")  # - yoga; n01440764 tench
_TO_COMMAS = str.maketrans(";\t", ",,")  # the header of a table with another delimiter is recognised too


@dataclass(frozen=True)
class NamedClasses:
    """The classes of a prediction. Legend: C classes, W width of a class vector."""

    names: tuple[str, ...]
    vectors: NDArray[np.float32]  # (C, W)
    seen: NDArray[np.bool_]  # (C,) which classes the model was trained on
    # (C,) to which classes beta is added, because the network favours them: seen ones, and names very near one
    favoured: NDArray[np.bool_]
    notes: tuple[str, ...]  # sentences for the user about names that resemble trained classes


def parse_classes(text: str | None, known_names: Iterable[str] = ()) -> dict[str, Phrases] | None:
    """Parse the class names that a user gives.

    A name may consist of several phrases with `|` between them, "dog barking|a dog barks". Their vectors are averaged.

    Args:
        text: names such as `a, "b, c"`, or a file: a table with the columns class and phrase, as avzsl's own
            classes.csv, or one name per line. None or empty for all known classes.
        known_names: names of known classes. Those with commas need no quotes.

    Returns:
        Class name -> its phrases; None for all known classes.

    Raises:
        UsageError: a file that does not exist, an empty name, or a duplicate name.
    """
    if text is None:
        return None
    path = Path(text)
    if text.strip() and _is_list(path):
        named, where = _read_names(path, known_names), str(path)
        if not named:
            raise UsageError(f"{path} contains no class names: expected one name per line, or a column class")
    elif path.suffix.lower() in _LIST_ENDINGS and "," not in text:
        raise UsageError(not_a_file(path))
    else:
        cells = with_known_names(split_names(text), known_names)
        named, where = [(name, phrases_of_name(name)) for name in cells], "--classes"
    classes: dict[str, Phrases] = {}
    known: dict[Phrases, str] = {}
    for name, phrases in named:
        comparable = comparable_phrases(phrases)
        if not (name and comparable):
            raise UsageError(
                f'{where}: a class name is empty; give names such as --classes "dog barking, playing drums"'
            )
        if comparable in known or name in classes:
            other = known.get(comparable, name)
            same = f"{name!r} is given twice" if other == name else f"{other!r} and {name!r} read the same"
            raise UsageError(f"{where}: duplicate class names: {same}")
        known[comparable] = name
        classes[name] = phrases
    if not classes:
        raise UsageError('--classes is empty: give names such as --classes "dog barking, yoga", or leave it out')
    return classes


def _read_names(path: Path, known_names: Iterable[str] = ()) -> list[tuple[str, Phrases]]:
    """Read the names and phrases of a table with the columns class and phrase, or of a list with one name per line.

    A list may number its names, as UCF101's classInd.txt does, or give a count for each, as VGGSound's stat.csv does.

    Raises:
        UsageError: another table, or a table that is damaged.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if (without_numbers := _without_numbers(names)) is not None:
        return [(name, phrases_of_name(name)) for name in without_numbers]
    if uncounted := _without_counts_of_known(names, known_names):
        return [(name, phrases_of_name(name)) for name in uncounted]
    first = names[0] if names else ""
    cells = [cell.lower() for cell in split_names(first.translate(_TO_COMMAS))]
    names_columns = "class" in cells and ("phrase" in cells or len(cells) == 1)
    has_tabs, has_commas = "\t" in first, "," in first or ";" not in first
    if names_columns and has_commas and not has_tabs:
        return [(name, found or phrases_of_name(name)) for name, found in read_phrases(path, comments=True).items()]
    several = len(cells) > 1 and (path.suffix.lower() == ".csv" or "class" in cells)  # else a comma is part of a name
    if has_tabs or names_columns or several:
        raise UsageError(
            f"{path} is not a list of class names: its first line is {first!r}; give a table with the columns class "
            "and phrase and commas between them, or one name per line, in quotes if it has a comma"
        )
    unquoted = [cells[0] if len(cells := split_names(name)) == 1 else name for name in names if name]
    return [(name, phrases_of_name(name)) for name in unquoted]


def _without_numbers(lines: Sequence[str]) -> list[str] | None:
    """Return the names of a list in which every line has a place, a count or a mark too; None for another list.

    Places count up from 0 or 1, before the name or after it. Counts follow a comma, a semicolon or a tab, or the name
    in a list with places. Marks are bullets and the numbers of WordNet.
    """
    names = list(lines)
    marked = [_MARK.fullmatch(line) for line in names]
    if names and all(marked):
        names = [match["name"] for match in marked if match]
    placed = _without_places(names, _PLACE)
    ended = None if placed is not None else _without_places(names, _LAST_NUMBER)
    names = placed or ended or names
    counted = [_COUNTS.fullmatch(line) or (_LAST_NUMBER.fullmatch(line) if placed else None) for line in names]
    if names and all(counted):
        names = [match["name"] for match in counted if match]
    return None if names == list(lines) else [_unquoted(name) for name in names]


def _without_counts_of_known(lines: Sequence[str], known_names: Iterable[str]) -> list[str]:
    """Return the names of a list in which a number follows each name after a blank; empty for another list.

    `area 51` is a name. But if the line without its number is a known class, the numbers are counts.
    """
    found = [_NUMBER_AT_END.fullmatch(line) for line in lines]
    names = [match["name"] for match in found if match]
    known = {comparable_phrases(phrases_of_name(name)) for name in known_names}
    is_counted = bool(names) and len(names) == len(lines)
    return names if is_counted and any(comparable_phrases(phrases_of_name(name)) in known for name in names) else []


def _without_places(lines: Sequence[str], pattern: re.Pattern[str]) -> list[str] | None:
    """Return the names of lines with a place; None if a line has none, or the places do not count up from 0 or 1."""
    found = [pattern.fullmatch(line) for line in lines]
    if not (lines and all(found)):
        return None
    places = [int(match["number"]) for match in found if match]
    if places[0] not in {0, 1} or any(later <= place for place, later in pairwise(places)):
        return None
    return [match["name"] for match in found if match]


def _unquoted(name: str) -> str:
    name = name.strip()
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _is_list(path: Path) -> bool:
    """Say whether what the user gave is a file, not names.

    Raises:
        UsageError: a folder, a pipe, or a link that leads nowhere.
    """
    try:
        exists, is_link = path.exists(), path.is_symlink()
    except OSError:  # a long list of names is not a path
        return False
    if exists and path.is_dir():
        raise UsageError(f"{path} is a folder: give class names, or a text file with one name per line")
    if (exists or is_link) and not path.is_file():
        raise UsageError(not_a_file(path))
    return exists


def name_classes(
    model: Model, classes: Mapping[str, Phrases] | None, text: str | None, reporter: Reporter | None = None
) -> NamedClasses:
    """Find the vectors of class names.

    A new name that means a trained class (same_class.py) gets the vector of that class and counts as seen. A new name
    very near a trained class stays new, but is favoured as that class is.

    Args:
        model: the model, which contains the vectors of its own classes.
        classes: class name -> its phrases; None for the model's classes.
        text: the text encoder, if its path changed since training; None for the path that the model records.
        reporter: receives the progress of a long list.

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
    names, phrases = list(classes), list(classes.values())
    vectors = np.zeros((len(names), model.class_vectors.shape[1]), np.float32)
    new = [row for row, index in enumerate(indices) if index is None]
    if new or text is not None:
        encoder = _text_encoder(model, text)
        vectors[new] = encode_kept(encoder, [phrases[row] for row in new], reporter or SilentReporter())
    found = resemblances([phrases[row] for row in new], vectors[new], model.classes, model.class_vectors)
    notes, near = [], np.zeros(len(names), np.bool_)
    for row, resemblance in zip(new, found, strict=True):
        if resemblance is None:
            continue
        name, like = names[row], phrases_text(model.classes[resemblance.index].phrases)
        similarity = f"(similarity {resemblance.cosine:.2f})"
        if resemblance.same:
            indices[row] = resemblance.index
            notes.append(f"{name!r} is taken as {like!r}, a class in training {similarity}")
        else:
            near[row] = resemblance.close
            effect = "it counts as a trained name in the calibration; " if resemblance.close else ""
            advice = (
                "both are among your names and share the percentages: leave one out if you mean the same"
                if resemblance.index in indices
                else "give the name of that class if you mean it"
            )
            notes.append(
                f"{name!r} is not in training, but resembles the trained class {like!r} {similarity}: {effect}{advice}"
            )
    _refuse_the_same_class(names, indices, model)
    for row, index in enumerate(indices):
        if index is not None:
            vectors[row] = model.class_vectors[index]
    _refuse_the_same_vector(names, vectors, model)
    seen = np.array([index is not None and model.classes[index].seen for index in indices])
    return NamedClasses(tuple(names), vectors, seen, seen | near, tuple(notes))


def _refuse_the_same_class(names: Sequence[str], indices: Sequence[int | None], model: Model) -> None:
    """Refuse several names of one class of the model: each would take a part of its probability."""
    first: dict[int, str] = {}
    for name, index in zip(names, indices, strict=True):
        if index is None:
            continue
        if index in first:
            raise UsageError(
                f"--classes: {first[index]!r} and {name!r} are the same class in training, "
                f"{phrases_text(model.classes[index].phrases)!r}: give it once"
            )
        first[index] = name


def _refuse_the_same_vector(names: Sequence[str], vectors: NDArray[np.float32], model: Model) -> None:
    """Refuse names that the text encoder cannot tell apart: their order would be chance."""
    same = alike_classes(names, vectors, THE_SAME)
    if same:
        first, second, _ = same[0]
        more = f", and to {counted(len(same) - 1, 'more pair')}" if len(same) > 1 else ""
        raise UsageError(
            f"--classes: the text encoder {model.text_encoder['encoder']} gives the same vector to {first!r} and "
            f"{second!r}{more}: give other words for them, such as {first!r}|what its clips show"
        )


def neutral_vector(model: Model) -> NDArray[np.float32] | None:
    """Return the vector (1, W) of texts that fit every clip; None if the model's text encoder has none."""
    encoder = _text_encoder(model, None)
    return encoder.neutral() if isinstance(encoder, PairedText) else None


def _text_encoder(model: Model, text: str | None) -> TextEncoder:
    """Load the text encoder that made the model's class vectors; refuse any other."""
    identity = model.text_encoder
    try:
        encoder = load_encoder(read_spec(text) if text else model.text_spec, Templates.from_identity(identity))
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
