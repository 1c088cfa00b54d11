"""The arm and what stands around it, in numbers: kinematics, dynamics, bodies, distances. Decides
nothing.
"""
