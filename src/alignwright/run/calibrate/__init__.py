"""How often is each detector right? Models with a planted fault, clean ones, and a table of both."""

CLEAN_MODELS = 40
"""Clean models that a rate at 5 % false alarms takes."""
