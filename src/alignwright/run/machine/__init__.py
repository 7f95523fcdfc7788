"""Is this machine ready for a run: processor, packages, model, disk, server?"""
