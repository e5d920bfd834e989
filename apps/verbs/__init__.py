"""What the verbs of the command line share, and the longer ones among them."""
