"""Which program a checkpoint is of, and which networks it holds."""
