"""Do people prefer the model's replies to the start model's?"""
