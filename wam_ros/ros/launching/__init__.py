"""What the launch files share: their arguments, judged without the launch tool, and how processes
end.
"""
