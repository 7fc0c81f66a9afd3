"""Two legs until both are closed."""
