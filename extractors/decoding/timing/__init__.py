"""Place pictures and sound in time, and cut them into seconds."""
