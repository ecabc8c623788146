"""Writers of other programs' containers."""
