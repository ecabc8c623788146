"""The trainer of the StyleGAN of 2018: growing, its steps, its defaults."""
