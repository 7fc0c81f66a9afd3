"""The tests of wsgate: they mirror the package; beside them doubles, end-to-end tests and the repository's rules."""
