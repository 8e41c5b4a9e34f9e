"""What a run leaves on disk: its folder, its pictures, what it began from, its checkpoints."""
