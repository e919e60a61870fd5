"""A published table: its rows, their sources, and the reasons to doubt a figure."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from pipeline.features.feature_kinds import FeatureKind

_ROUNDING = 0.02  # percent points: S, U and HM are printed with two decimals


@dataclass(frozen=True)
class PublishedRow:
    """The published metrics of one method in percent; NaN for a metric that was not published."""

    method: str
    S: float
    U: float
    HM: float
    ZSL: float
    source: str = ""
    note: str = ""  # what a reader must know to compare the row

    @property
    def doubts(self) -> tuple[str, ...]:
        """The reasons why a figure of the row cannot be right; NaN gives none."""
        found = []
        if self.S + self.U > 0:
            mean = 2 * self.S * self.U / (self.S + self.U)
            if abs(mean - self.HM) > _ROUNDING:
                found.append(f"HM is printed as {self.HM:.2f}, but S and U give {mean:.2f}")
        # Calibration only favours unseen classes over seen ones; among unseen classes it changes nothing.
        if self.U > self.ZSL + _ROUNDING / 2:
            found.append(
                f"U ({self.U:.2f}) is above ZSL ({self.ZSL:.2f}), although ZSL has fewer classes to choose from"
            )
        return tuple(found)

    @property
    def cells(self) -> list[str]:
        """S, U, HM and ZSL with two decimals; `?` follows each figure that cannot be right."""
        shown = {name: self._shown(name) for name in ("S", "U", "HM", "ZSL")}
        for doubt in self.doubts:
            name = doubt.split()[0]
            shown[name] += "?"
        return list(shown.values())

    def _shown(self, name: str) -> str:
        value: float = getattr(self, name)
        return "-" if math.isnan(value) else f"{value:.2f}"


@dataclass(frozen=True)
class PublishedTable:
    """The published results on one benchmark with one kind of features.

    Attributes:
        benchmark: ucf, activitynet or vggsound.
        kind: the features.
        rows: the rows.
    """

    benchmark: str
    kind: FeatureKind
    rows: tuple[PublishedRow, ...]

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the rows: features, sources and doubts."""
        kind = self.kind
        named = f"Published rows: {self.benchmark}, features {kind.name} ({kind.title}), {kind.split}."
        notes = [f"{named} Rows of other features must not be compared with them."]
        methods_of: dict[str, list[str]] = {}
        for row in self.rows:
            methods_of.setdefault(row.source, []).append(row.method)
        named_sources = [f"{', '.join(methods)}: {source}" for source, methods in methods_of.items() if source]
        if named_sources:
            notes.append(f"Sources. {'; '.join(named_sources)}.")
        notes += [f"{row.method}: {row.note}." for row in self.rows if row.note]
        notes += [f"? {row.method}: {doubt}." for row in self.rows for doubt in row.doubts]
        return notes

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a JSON document."""
        return {
            "benchmark": self.benchmark,
            "features": self.kind.name,
            "rows": [dataclasses.asdict(row) | {"doubts": list(row.doubts)} for row in self.rows],
        }
