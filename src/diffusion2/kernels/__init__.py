"""Work on many pixels that several rooms share: Numba's compiling, threads and vector units; connected regions."""
