"""The policy over the wire: `wam serve`, for robots and evaluators elsewhere. No ROS."""
