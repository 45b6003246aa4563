"""What the shop does: define sales, reserve, read, cancel, sweep and audit. Knows neither HTTP nor Redis commands."""
