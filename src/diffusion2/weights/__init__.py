"""Which weights there are, where they lie, fetching them, and what a GPU holds. `priors.check` opens them."""
