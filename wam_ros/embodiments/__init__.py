"""`wam embodiment`: a robot's YAML from its URDF; what is right about a robot and what not."""
