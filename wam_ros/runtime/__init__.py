"""Threads around a policy: the latest-value slot and the inference engine. No ROS, no torch."""
