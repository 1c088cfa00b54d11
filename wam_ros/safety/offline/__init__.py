"""The filter on files, without a robot."""
