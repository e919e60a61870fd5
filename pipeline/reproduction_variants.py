"""The rows of a reproduction: the method as configured, and the paper's ablation of it (daan.md, section 7)."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from daan.config import Csgm, DaanConfig


@dataclass(frozen=True)
class Variant:
    """A row: its name here and in the published ablation, what it is called in tables, and its two switches."""

    name: str
    title: str
    qdma: Literal["off", "on"]
    csgm: Csgm

    def applied_to(self, config: DaanConfig) -> DaanConfig:
        """The configuration with this variant's switches; everything else is as it was."""
        return dataclasses.replace(config, qdma=self.qdma, csgm=self.csgm)


ABLATION = (
    Variant("base", "base", "off", "off"),
    Variant("qdma", "+ QDMA", "on", "off"),
    Variant("qdma-convergence", "+ CSGM by V_c", "on", "convergence"),
    Variant("full", "+ CSGM, full", "on", "full"),
)


def variants_of(config: DaanConfig, *, ablation: bool) -> tuple[Variant, ...]:
    """What to train: the rows of the ablation, the method itself last; or only the configuration as it is."""
    if ablation:
        return ABLATION
    return (Variant("configured", f"QDMA {config.qdma}, CSGM {config.csgm}", config.qdma, config.csgm),)
