"""The back room of camera_node."""
