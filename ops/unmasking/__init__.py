"""Unmasking: faces framed upright, the regions that are completed, and how what was completed goes back."""
