package decode

// cache holds the keys and values of a run of tokens in all layers. Keys are stored transposed, one row for each channel,
// so that a query meets all keys of a head in one product over contiguous rows.
type cache struct {
	layers, width int
	n             int       // tokens held
	space         int       // tokens that there is room for
	keys          []float32 // [layers,width,space]
	values        []float32 // [layers,space,width]
	users         int       // of a shared prompt: completions that still read it
}

// spaceStep is the smallest room in tokens; rooms grow by doubling it.
const spaceStep = 16

// reset empties the cache and makes room for n tokens.
func (c *cache) reset(layers, width, n int) {
	c.layers, c.width, c.n, c.users = layers, width, 0, 0
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
	for row := range c.layers * c.width {
		copy(c.keys[row*c.space:], keys[row*was:(row+1)*was])
	}
	for l := range c.layers {
		copy(c.values[l*c.space*c.width:], values[l*was*c.width:(l+1)*was*c.width])
	}
}

// put stores the key and value [width] of the token at index i in one layer; the caller raises n.
func (c *cache) put(layer, i int, key, value []float32) {
	at := layer*c.width*c.space + i
	for _, x := range key {
		c.keys[at] = x
		at += c.space
	}
	copy(c.values[(layer*c.space+i)*c.width:], value[:c.width])
}

// headKeys returns the keys of one head in one layer, [head width, space], from channel lo on.
func (c *cache) headKeys(layer, lo int) []float32 { return c.keys[(layer*c.width+lo)*c.space:] }

// headValues returns the values of one layer, [space,width], from channel lo on.
func (c *cache) headValues(layer, lo int) []float32 { return c.values[layer*c.space*c.width+lo:] }
