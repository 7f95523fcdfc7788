"""What would another judge say of the attacks of a run? Their stored conversations, graded again."""
