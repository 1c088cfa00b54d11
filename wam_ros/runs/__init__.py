"""A run that is over: read once, shown on the page again, drawn as curves and films, told."""
