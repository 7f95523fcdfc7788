"""Does the model do what was asked, what was meant, what is valued, and what did that cost?"""
