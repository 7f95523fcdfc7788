"""Is one model worse than another on the same items? Two runs, logs or models, paired."""
