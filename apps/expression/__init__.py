"""The browser app that opens eyes and adds smiles."""
