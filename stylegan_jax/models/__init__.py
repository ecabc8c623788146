"""Networks as Flax Linen modules; parameter paths are the converter's keys."""
