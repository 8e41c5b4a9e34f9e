"""The Numba toolbox that several rooms share: compiling, threads, the vector units."""
