"""The tests of wsgate: they mirror the package, with doubles, end-to-end tests and the rules of the repository beside it."""
