"""How do many votes become one preference?"""
