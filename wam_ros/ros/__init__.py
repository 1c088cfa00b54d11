"""With `nodes`, the only importers of rclpy: messages to our types, parameters, quality of service,
lifecycle.
"""
