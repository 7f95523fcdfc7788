"""What leaves a run: its model in the forms that others serve, its numbers in the forms that others read."""
