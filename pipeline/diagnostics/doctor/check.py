"""One line of `avzsl doctor`."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    """Something that was looked at.

    Attributes:
        name: what.
        state: ok; note: works, but worth knowing; missing: not there or broken.
        detail: what was found.
        remedy: what to do about it; '' where nothing need be done.
        essential: without it avzsl cannot do its work.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""
    essential: bool = False

    @property
    def fatal(self) -> bool:
        """Whether avzsl cannot work because of it."""
        return self.essential and self.state == "missing"
