"""What every server that speaks HTTP has in common; no ROS, no torch."""
