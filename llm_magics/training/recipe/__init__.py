"""What a training is: read from TOML, checked, changed by options."""
