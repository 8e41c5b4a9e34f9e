"""Asking people which of several results they prefer (figure 9 of the paper)."""
