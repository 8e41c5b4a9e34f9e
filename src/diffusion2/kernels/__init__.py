"""Work on many pixels that several rooms share: the Numba toolbox (compiling, threads, vectors), regions."""
