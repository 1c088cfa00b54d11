"""The back room of inference_node: its parameters and services."""
