"""What does the model hold inside: probes, the logit lens, steering, sparse autoencoders, crosscoders, personas?"""
