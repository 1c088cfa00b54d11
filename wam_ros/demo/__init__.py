"""`wam demo`: starts the loop's processes, runs episodes through it and measures them."""
