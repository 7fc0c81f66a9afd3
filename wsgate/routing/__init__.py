"""Which route answers a request: pure, built once for each listener."""
