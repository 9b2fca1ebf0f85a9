"""The magics that train: %train, %runs, %tune, and what they show."""
