"""The command `avzsl`: each subcommand parses its options, calls one function of pipeline, and shows the result."""
