"""Text from models: requests, sampling, chat, batches."""
