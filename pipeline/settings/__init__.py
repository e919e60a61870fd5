"""Every option of every stage, in one tree."""
