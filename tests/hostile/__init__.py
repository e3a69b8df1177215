"""Plugins of pytest's that make a guest do what it shouldn't, at its first case (`-p tests.hostile.panics`)."""
