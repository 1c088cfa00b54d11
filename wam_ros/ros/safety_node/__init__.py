"""The back room of safety_node: its parameters, and what it hears and shows."""
