"""The Lua scripts, and one typed wrapper for each."""
