"""Published results to print next to ours, in percent, for the main split and SeLaVi features.

The metrics are defined in pipeline/avgzsl_benchmark/README.md. One figure is corrected: DAAN's paper prints an HM of
13.87 for ActivityNet, but its S and U give 13.77.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daan.config import Csgm, DaanConfig


@dataclass(frozen=True)
class PublishedRow:
    """The published metrics of one method."""

    method: str
    S: float
    U: float
    HM: float
    ZSL: float


def _rows(table: str) -> tuple[PublishedRow, ...]:
    """Read a table with one line per method: its name, then S, U, HM and ZSL."""
    lines = (line.split() for line in table.strip().splitlines())
    return tuple(PublishedRow(method, *map(float, metrics)) for method, *metrics in lines)


PUBLISHED: Mapping[str, tuple[PublishedRow, ...]] = {
    "ucf": _rows("""
        CJME            26.04   8.21  12.48   8.29
        AVGZSLNet       52.52  10.90  18.05  13.65
        AVCA            51.53  18.43  27.15  20.01
        TCaF            58.60  21.74  31.72  24.81
        AVMST           44.08  22.63  29.91  28.19
        Hyperalignment  57.28  17.83  27.19  19.02
        MDFT            48.79  23.11  31.36  31.53
        DAAN            52.38  23.48  32.42  31.09
    """),
    "activitynet": _rows("""
        CJME             5.55   4.75   5.12   5.84
        AVGZSLNet        8.93   5.04   6.44   5.40
        AVCA            24.86   8.02  12.13   9.13
        TCaF            18.70   7.50  10.71   7.91
        AVMST           17.75   9.90  12.71  10.37
        Hyperalignment  23.50   8.47  12.46   9.83
        MDFT            18.32  10.55  13.39  12.55
        DAAN            20.91  10.26  13.77  11.15
    """),
    "vggsound": _rows("""
        CJME             8.69   4.78   6.17   5.16
        AVGZSLNet       18.05   3.48   5.83   5.28
        AVCA            14.90   4.00   6.31   6.00
        TCaF             9.64   5.91   7.33   6.06
        AVMST           14.14   5.28   7.68   6.61
        Hyperalignment  13.22   5.01   7.27   6.14
        MDFT            16.14   5.97   8.72   7.13
        DAAN            10.04   7.10   8.32   7.91
    """),
}

# The ablation of DAAN in its paper (arXiv 2412.11715), which is published for UCF only. The first digits of S in the
# row "base" were hard to read in our copy of the paper; U and HM of the row confirm 49.14.
PUBLISHED_ABLATION: Mapping[str, Mapping[str, PublishedRow]] = {
    "ucf": {
        row.method: row
        for row in _rows("""
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


def variants_of(config: DaanConfig, *, ablation: bool) -> tuple[Variant, ...]:
    """List the variants to train: the rows of the ablation with the full method last, or only the configuration."""
    if ablation:
        return ABLATION
    return (Variant("configured", f"QDMA {config.qdma}, CSGM {config.csgm}", config.qdma, config.csgm),)
