"""Model files and what reads them."""
