"""The Python halves of what is seen of trainings: the panel of a run and the board of a search."""
