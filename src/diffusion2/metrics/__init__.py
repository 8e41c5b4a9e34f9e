"""What measures pictures and videos, and the networks that some of it needs."""
