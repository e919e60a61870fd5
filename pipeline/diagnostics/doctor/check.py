"""The result of one check of `avzsl doctor`."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: name of the thing that was checked.
        state: "ok"; "note" if it works but the user should know something; "missing" if it is absent or broken.
        detail: description of what was found.
        remedy: what to do; '' if nothing needs to be done.
        essential: whether avzsl cannot work without it.
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
