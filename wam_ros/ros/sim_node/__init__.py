"""The back room of sim_node."""
