"""The back room of bridge_node: its parameters, controllers together, the way home, what it
says.
"""
