"""What of a picture is the object: by its alpha, masks, a plain background, a network."""
