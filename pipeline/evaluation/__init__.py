"""Evaluate models: metrics, figures and the report page of a run."""
