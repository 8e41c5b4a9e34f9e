"""Training the mini pair: rendering its data, its autoencoder and its two networks."""
