"""What a person sees: pictures, text and geometry, without ROS and without a window."""
