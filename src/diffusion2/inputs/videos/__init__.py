"""Pictures over time: videos of any kind, animations, folders of frames."""
