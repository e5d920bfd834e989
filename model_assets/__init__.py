"""The models: what each is, where it comes from, and a verified copy of it on this machine."""
