"""The command `avzsl`: parse, call one function of pipeline, show."""
