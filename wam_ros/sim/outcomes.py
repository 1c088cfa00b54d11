"""What an episode counts as; one list for the simulator, the demo and whoever judges."""

from __future__ import annotations

SUCCESS = "success"
WRONG = "wrong object"
NO_GRASP = "no grasp"
DROPPED = "dropped"
TIMEOUT = "timeout"
# as a simulator tells; after success the worst first
OUTCOMES = (SUCCESS, WRONG, NO_GRASP, DROPPED, TIMEOUT)
STOPPED = "stopped"  # by safety, for good, where there is safety
WORST = (STOPPED, *OUTCOMES[1:])  # of those without success
