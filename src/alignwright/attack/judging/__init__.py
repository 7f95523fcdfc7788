"""Who tells whether an attack succeeded, besides the rules? A model, that is graded itself before it is believed."""
