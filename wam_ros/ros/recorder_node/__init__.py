"""The back room of recorder_node: its parameters, what it hears and what it says of itself."""
