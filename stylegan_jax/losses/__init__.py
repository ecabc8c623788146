"""Losses and penalties as pure functions that return one value per example."""
