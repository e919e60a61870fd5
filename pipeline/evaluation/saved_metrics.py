"""Read the metrics.json that an evaluation wrote."""

from typing import Any

import numpy as np
import pydantic

from pipeline.scoring.metrics import ClassRecalls

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
    score: str = ""  # the score that predicts
    scores: dict[str, SavedScore]
    chance: float | None = pydantic.Field(alias="chance_ZSL")
    recall_per_class: dict[str, SavedRecall]
    grids: dict[str, dict[str, SavedScore]] = {}
    intervals: dict[str, dict[str, tuple[float | None, float | None]] | float] = {}
    expected_calibration_error: dict[str, float | None] = {}

    @property
    def recalls(self) -> ClassRecalls:
        """The recalls by the score that predicts, of the classes that have samples."""
        known = [(row.seen, row.recall, row.recall_among_unseen) for row in self.recall_per_class.values()]
        seen = [recall for is_seen, recall, _ in known if is_seen and recall is not None]
        unseen = [(recall, among) for is_seen, recall, among in known if not is_seen and recall is not None]
        return ClassRecalls(
            seen=np.array(seen, np.float64),
            unseen=np.array([recall for recall, _ in unseen], np.float64),
            zero_shot=np.array([np.nan if among is None else among for _, among in unseen], np.float64),
        )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_scores(cls, document: Any) -> Any:  # noqa: ANN401 - any JSON document
        """Gather the metrics of each score, which is an entry of its own."""
        if not isinstance(document, dict):
            return document
        names = document.get("scores", _SCORES_BEFORE)
        known = names if isinstance(names, list | tuple) else ()
        return {**document, "scores": {str(name): document.get(str(name)) for name in known}}
