"""The control plane: building a gateway from a configuration, starting and stopping it."""
