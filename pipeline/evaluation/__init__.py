"""How well a model recognises classes: metrics, figures, the page of a run."""
