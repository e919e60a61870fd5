"""Templates turn the phrase of a class into texts as joint encoders learned them: one set for sight, one for sound."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SLOT = "{}"  # where the phrase stands in a template


@dataclass(frozen=True)
class Templates:
    """The templates of a paired text encoder.

    Attributes:
        sight: texts about what is seen, each with a slot `{}` for the phrase.
        sound: texts about what is heard.

    Raises:
        ValueError: no template, or one without a slot.
    """

    sight: tuple[str, ...] = ("a video of {}",)
    sound: tuple[str, ...] = ("the sound of {}",)

    def __post_init__(self) -> None:
        for name, templates in (("sight_templates", self.sight), ("sound_templates", self.sound)):
            if not templates:
                raise ValueError(f"{name} is empty: give at least one text with {SLOT} for the phrase")
            for template in templates:
                if SLOT not in template:
                    raise ValueError(f"{name}: {template!r} has no {SLOT}, which stands for the phrase of a class")

    def to_identity(self) -> dict[str, str]:
        """Return the entries of a text encoder's identity."""
        return {"sight_templates": json.dumps(self.sight), "sound_templates": json.dumps(self.sound)}

    @classmethod
    def from_identity(cls, identity: Mapping[str, str]) -> "Templates":
        """Read the templates from the identity of a text encoder; the usual ones if it has none."""
        if "sight_templates" not in identity:
            return cls()
        return cls(tuple(json.loads(identity["sight_templates"])), tuple(json.loads(identity["sound_templates"])))


def filled(template: str, phrases: Sequence[str]) -> list[str]:
    """Put each phrase into a template."""
    return [template.replace(SLOT, phrase) for phrase in phrases]
