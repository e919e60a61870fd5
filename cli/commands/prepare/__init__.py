"""The subcommands of `avzsl prepare`."""
