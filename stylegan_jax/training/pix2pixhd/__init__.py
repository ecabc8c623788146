"""The trainer of picture-to-picture networks (Wang et al. 2018, pix2pixHD)."""
