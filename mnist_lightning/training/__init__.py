"""What stands around the Trainer: the record of a run, its checkpoints, what is shown, and what is logged."""
