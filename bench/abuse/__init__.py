"""A benchmark for abuse of government API keys: generator and seeds, so that anybody can repeat it."""
