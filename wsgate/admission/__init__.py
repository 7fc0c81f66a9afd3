"""May this request or connection pass: pure decisions, acted on elsewhere."""
