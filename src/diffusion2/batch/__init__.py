"""Many runs of one kind: which, on what engine, and what became of them."""
