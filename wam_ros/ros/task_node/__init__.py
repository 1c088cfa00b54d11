"""The back room of task_node: its parameters, and the steps of one task."""
