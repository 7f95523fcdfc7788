"""What do EleutherAI's lm-eval tasks make of the live model, item by item?"""
