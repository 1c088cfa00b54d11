"""What a policy and whoever asks it say to each other: openpi's wire, and what is meant by it."""
