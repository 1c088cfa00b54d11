"""Who may move the arm, and what follows when something stops coming."""
