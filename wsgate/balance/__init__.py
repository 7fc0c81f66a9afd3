"""Which servers a connection or request tries, in which order; counts and times in, an order out."""
