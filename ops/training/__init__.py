"""Training of the project's own networks; torch is loaded when a training starts."""
