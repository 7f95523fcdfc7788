"""Level two: does it serve what was meant, under pressure and beyond the letter?"""
