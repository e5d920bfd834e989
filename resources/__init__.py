"""What an asset is handed: models on a device, and where the work runs."""
