"""The small models that are trained here and run on a CPU."""
