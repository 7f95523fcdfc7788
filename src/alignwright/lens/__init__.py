"""What does the model hold inside: probes for concepts, the logit lens, steering, sparse autoencoders, crosscoders?"""
