"""How do many votes become one preference? Preference aggregation, a question of social choice."""
