"""Bytes to values and back: every wire format wsgate speaks, without I/O and without Twisted."""
