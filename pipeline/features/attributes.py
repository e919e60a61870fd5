"""The root attributes of a feature file: which extractor made it, and how.

They stand in the file twice, as attributes that any HDF5 program shows, and as one text with its checksum, so that a
changed attribute is noticed. Attributes that another program added are ignored.
"""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.base.hdf5.reading import plain_attributes

SCHEMA = 3
READABLE_SCHEMAS = (1, 2, 3)
_CHECKED_SINCE = 3  # older files have no copy of their attributes

_COPY, _CHECKSUM = "attributes", "attributes_checksum"
Attributes = Mapping[str, str | int | float | bool]


def write_attributes(file: Any, attributes: Attributes) -> None:  # noqa: ANN401 - h5py has no types
    """Write the schema and the root attributes into an open HDF5 file, which has none yet."""
    written = {"schema": SCHEMA, **attributes}
    copy = json.dumps(written, default=lambda value: value.item())  # numbers of numpy
    file.attrs.update({**written, _COPY: copy, _CHECKSUM: zlib.crc32(copy.encode())})


def read_attributes(file: Any) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    """Read the root attributes, without the schema's copy; call it inside `reading_hdf5`.

    Raises:
        ValueError: an attribute is not what was written.
    """
    values, copy, checksum = scalar_attributes(file), file.attrs.get(_COPY), file.attrs.get(_CHECKSUM)
    schema = values.get("schema")
    if copy is None and not (isinstance(schema, int) and schema >= _CHECKED_SINCE):
        return values
    is_text = isinstance(copy, str) and isinstance(checksum, int | np.integer)
    if not is_text or zlib.crc32(copy.encode("utf-8", "surrogatepass")) != checksum:
        raise ValueError("the attributes are not what was written")
    written: dict[str, Any] = json.loads(copy)
    for name, value in written.items():
        if name not in values or not _equal(values[name], value):
            raise ValueError(f"the attribute {name} is not what was written")
    return written


def scalar_attributes(file: Any) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    """Read the attributes that are one text or number, without the copy; avzsl writes no others."""
    values = plain_attributes(file)
    plain = {name: value for name, value in values.items() if isinstance(value, str | int | float)}
    return {name: value for name, value in plain.items() if name not in {_COPY, _CHECKSUM}}


def _equal(found: object, written: object) -> bool:
    both_nan = isinstance(found, float) and isinstance(written, float) and math.isnan(found) and math.isnan(written)
    return both_nan or (type(found) is type(written) and found == written)


def widths_as_attributes(*, visual: int, audio: int) -> dict[str, int]:
    """Return the attributes for the widths of a second's vectors: one if they are equal, as in older files."""
    return {"feature_width": visual} if visual == audio else {"visual_width": visual, "audio_width": audio}


def widths_in_attributes(attributes: Attributes) -> tuple[int, int]:
    """Read the widths of the visual and of the audio vectors; 0 for a modality that the extractor does not have."""
    both = attributes.get("feature_width")
    if both is not None:
        return int(both), int(both)
    return int(attributes["visual_width"]), int(attributes["audio_width"])


def logit_scales(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Read the scales of the encoders that made features, as the options of `zero-shot`; empty if none are named."""
    named = {"visual_scale": "visual_logit_scale", "audio_scale": "audio_logit_scale"}
    return {option: float(attributes[name]) for option, name in named.items() if name in attributes}


def is_schema(schema: object) -> bool:
    """Say whether this version reads files of a schema."""
    return isinstance(schema, int | np.integer) and schema in READABLE_SCHEMAS
