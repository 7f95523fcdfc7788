"""Align a language model to what you meant, and find out whether it worked."""

__version__ = "0.1.0"
