package rng

import (
	"bytes"
	"testing"
)

func TestSecretsDiffer(t *testing.T) {
	a, b := Secret(32), Secret(32)
	if len(a) != 32 || len(b) != 32 || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) {
		t.Errorf("two secrets of 32 bytes are %x and %x", a, b)
	}
	if got := Secret(0); len(got) != 0 {
		t.Errorf("a secret of no bytes is %x", got)
	}
}
