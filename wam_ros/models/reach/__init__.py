"""A script in the place of a model: it moves any robot between poses that it reaches near home."""
