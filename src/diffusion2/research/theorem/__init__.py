"""The paper's theorem in numbers, for matrices where everything has a closed form."""
