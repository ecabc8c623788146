"""Which tensor of which program becomes which of ours: one table for each source."""
