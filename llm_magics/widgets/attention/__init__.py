"""The Python half of the attention explorer: what it is given, what is selected, answers, pictures,
and the page it is saved as."""
