"""Looks at any running loop: `wam latency`, `wam bench`."""
