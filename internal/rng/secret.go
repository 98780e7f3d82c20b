package rng

import "crypto/rand"

// Secret returns n bytes from the operating system that nobody can predict: for keys, salts and tokens. They differ on every
// call and no seed repeats them, so nothing that an experiment draws may come from here.
func Secret(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // it never fails: where the system has no randomness to give, it ends the program
	return b
}
