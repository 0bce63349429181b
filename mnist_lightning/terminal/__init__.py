"""What a person sees in a terminal, and how a command ends."""
