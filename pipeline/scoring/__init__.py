"""From distances to metrics; writes nothing."""
