"""Pure functions on latents and on the weights of generators."""
