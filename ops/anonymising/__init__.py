"""Digital masks: a 3D face drawn over a face, so that the person can't be recognised."""
