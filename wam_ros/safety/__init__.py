"""What stands between a plan and the arm: every trajectory that leaves ends at rest and was checked
whole.
"""
