"""What `avzsl doctor` checks."""
