"""The back room of view_node: its parameters, and what it makes of markers and of the world."""
