"""The back room of teleop_node: its parameters, and the messages of a leader."""
