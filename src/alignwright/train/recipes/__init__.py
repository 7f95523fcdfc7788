"""Recipes that are data over supervised fine-tuning: what the rows are, and not how they are learnt."""
