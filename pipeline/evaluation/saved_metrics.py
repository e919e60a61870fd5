"""Read the metrics.json that an evaluation wrote."""

from typing import Any

import pydantic

_SCORES_BEFORE = ("audio", "visual", "sum")  # a metrics.json of older versions does not name its scores


class SavedScore(pydantic.BaseModel):
    """The metrics of one score, in percent; None if a metric is not defined or not saved."""

    S: float | None
    U: float | None
    HM: float | None
    ZSL: float | None = None
    beta: float | None = None


class SavedRecall(pydantic.BaseModel):
    """The recall of one class."""

    seen: bool
    recall: float | None
    recall_among_unseen: float | None


class SavedMetrics(pydantic.BaseModel):
    """The entries of metrics.json that reports show."""

    run: str
    part: str
    scores: dict[str, SavedScore]
    chance: float | None = pydantic.Field(alias="chance_ZSL")
    recall_per_class: dict[str, SavedRecall]
    grids: dict[str, dict[str, SavedScore]] = {}
    intervals: dict[str, dict[str, tuple[float | None, float | None]] | float] = {}
    expected_calibration_error: dict[str, float | None] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_scores(cls, document: Any) -> Any:  # noqa: ANN401 - any JSON document
        """Gather the metrics of each score, which is an entry of its own."""
        if not isinstance(document, dict):
            return document
        names = document.get("scores", _SCORES_BEFORE)
        known = names if isinstance(names, list | tuple) else ()
        return {**document, "scores": {str(name): document.get(str(name)) for name in known}}
