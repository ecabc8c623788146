"""Trains face spaces: an encoder from a few photos in front of a frozen generator."""
