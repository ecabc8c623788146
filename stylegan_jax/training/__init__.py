"""Training: state, random numbers, device mesh, steps, the loop and its hooks."""
