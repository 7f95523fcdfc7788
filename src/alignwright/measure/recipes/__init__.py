"""Measures of what recipes of fine-tuning are to bring about."""
