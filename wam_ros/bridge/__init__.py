"""Between a proven trajectory and a controller: the independent last look. Knows `core` and
`robot.joints` only.
"""
