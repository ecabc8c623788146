"""The trainer of StyleGAN2: its state, steps, defaults, and what a run leaves."""
