"""Re-identification: whether a face that was made anonymous is still recognised, and how sure that is."""
