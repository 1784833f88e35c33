"""What the package costs, each as a ratio against a named rival that is measured beside it: `make bench`."""
