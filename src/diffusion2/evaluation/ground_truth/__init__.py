"""Animated 3D models as true image matrices."""
