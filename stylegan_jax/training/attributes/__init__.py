"""The trainer of attribute networks: state, steps, presets, and figures."""
