"""The ablation of DAAN in its paper: the variants to train, and their published results on UCF."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daan.config import Csgm, DaanConfig
from pipeline.avgzsl_benchmark.reproduction.published import rows_of
from pipeline.base.errors import UsageError
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.comparison.published import PublishedRow

# The ablation of DAAN in its paper (arXiv 2412.11715), which is published for UCF only. The first digits of S in the
# row "base" were hard to read in our copy of the paper; U and HM of the row confirm 49.14.
PUBLISHED_ABLATION: Mapping[str, Mapping[str, PublishedRow]] = {
    "ucf": {
        row.method: row
        for row in rows_of("""
            base             49.14  17.46  25.77  19.03
            qdma             44.30  18.86  26.46  28.78
            qdma-convergence 46.34  23.64  31.31  28.44
            full             52.38  23.48  32.42  31.09
        """)
    }
}


@dataclass(frozen=True)
class Variant:
    """A row of the ablation.

    Attributes:
        name: the name here and in `PUBLISHED_ABLATION`.
        title: the name in tables.
        qdma: the setting `daan.qdma` of this row.
        csgm: the setting `daan.csgm` of this row.
    """

    name: str
    title: str
    qdma: Literal["off", "on"]
    csgm: Csgm

    def applied_to(self, config: DaanConfig) -> DaanConfig:
        """Return the configuration with the two settings of this variant and everything else unchanged."""
        return dataclasses.replace(config, qdma=self.qdma, csgm=self.csgm)


ABLATION = (
    Variant("base", "base", "off", "off"),
    Variant("qdma", "+ QDMA", "on", "off"),
    Variant("qdma-convergence", "+ CSGM by V_c", "on", "convergence"),
    Variant("full", "+ CSGM, full", "on", "full"),
)


def variants_of(method: ConfiguredMethod) -> list[ConfiguredMethod]:
    """Return DAAN's settings as every row of the ablation, the full method last.

    Raises:
        UsageError: settings that are only one of the rows.
    """
    config = method.settings.daan
    if ABLATION[-1].applied_to(config) != config:
        raise UsageError(
            f"daan.qdma is {config.qdma} and daan.csgm {config.csgm}, but the ablation varies "
            "both: leave both settings out, or train only this variant with --no-ablation"
        )
    return [
        ConfiguredMethod(each.name, each.title, method.settings.with_method_config(each.applied_to(config)))
        for each in ABLATION
    ]
