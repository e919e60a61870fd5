"""Where pictures and sound lie in time, and how they are cut into seconds."""
