"""The trainer of pSp: its state, steps, defaults, frozen networks, and validation."""
