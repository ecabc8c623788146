"""Sliced Wasserstein and other distances between sets of pictures."""
