"""`wam embodiment rehearse`: whether a recording, a robot and a model mean the same by their
numbers and pictures.
"""
