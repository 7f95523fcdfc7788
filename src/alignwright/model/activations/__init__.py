"""What does a model hold inside while it reads: capture, edits, and stores of activations."""
