package decode

import (
	"sync/atomic"

	"candor/engine/kernel"
)

// cache holds the keys and values of a run of tokens in all layers. Of kernel.KeyBlock tokens at a time the keys are stored
// transposed, one row for each channel, so that a query meets many keys at once.
type cache struct {
	layers, width int
	n             int          // tokens held
	space         int          // tokens that there is room for
	keys          []float32    // [layers,space/KeyBlock,width,KeyBlock]
	values        []float32    // [layers,space,width]
	users         atomic.Int32 // of a shared prompt: completions that still read it
}

// spaceStep is the smallest room in tokens; rooms grow by doubling it.
const spaceStep = kernel.KeyBlock

// reset empties the cache and makes room for n tokens.
func (c *cache) reset(layers, width, n int) {
	c.layers, c.width, c.n = layers, width, 0
	c.users.Store(0)
	if c.space < n {
		c.allocate(n)
	}
}

func (c *cache) allocate(n int) {
	space := spaceStep
	for space < n {
		space *= 2
	}
	c.space = space
	c.keys = make([]float32, c.layers*c.width*space)
	c.values = make([]float32, c.layers*c.width*space)
}

// grow makes room for one more token.
func (c *cache) grow() {
	if c.n < c.space {
		return
	}
	keys, values, was := c.keys, c.values, c.space
	c.allocate(2 * was)
	for l := range c.layers {
		copy(c.keys[l*c.space*c.width:], keys[l*was*c.width:(l+1)*was*c.width])
		copy(c.values[l*c.space*c.width:], values[l*was*c.width:(l+1)*was*c.width])
	}
}

// put stores the keys and values of n tokens from index i on in one layer, rows of 3*width numbers: queries, keys and values.
// If there are several, i must be 0. The caller raises n.
func (c *cache) put(layer, i, n int, qkv []float32) {
	ld := 3 * c.width
	kernel.StoreKeys(c.layerKeys(layer), i, n, c.width, qkv[c.width:], ld)
	values := c.layerValues(layer)
	for t := range n {
		copy(values[(i+t)*c.width:(i+t+1)*c.width], qkv[t*ld+2*c.width:])
	}
}

// layerKeys returns the keys of one layer, [space/KeyBlock,width,KeyBlock].
func (c *cache) layerKeys(layer int) []float32 { return c.keys[layer*c.space*c.width:] }

// layerValues returns the values of one layer, [space,width].
func (c *cache) layerValues(layer int) []float32 { return c.values[layer*c.space*c.width:] }
