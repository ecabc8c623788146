"""Our networks as files that the original programs load."""
