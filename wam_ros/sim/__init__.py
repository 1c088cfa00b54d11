"""A robot for whoever has none: MuJoCo world, tasks, scripted expert."""
