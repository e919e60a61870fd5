"""Which videos there are, their classes and their splits."""
