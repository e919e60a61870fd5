"""The checks of `avzsl doctor`."""
