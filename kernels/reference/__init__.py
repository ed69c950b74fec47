"""Every kernel in plain NumPy, written to be read. The oracle of the tests."""
