"""Forms and panels behind the magics."""
