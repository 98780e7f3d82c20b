package decode

import (
	"slices"

	"candor/engine/kernel"
	"candor/engine/nn"
	"candor/internal/rng"
	"candor/reasoning/llm"
)

// worker is one thread's part of a sampler: the completions that it carries, and its scratch.
type worker struct {
	s    *Sampler
	attn *nn.Attention

	active []*sequence // running completions; those of one prompt lie side by side
	fresh  []*sequence // taken, prompt not yet read
	idle   []*sequence // to be reused
	caches []*cache    // of prompts, to be reused
	ws     kernel.Workspace
	chooser

	inputs      []input
	keep        []int32 // rows of prompts' last tokens
	spans       []span  // prompts that are being read
	x, y, z     []float32
	qkv         []float32
	scores      []float32
	scoreStride int

	bufX, bufY, bufZ, bufQKV, bufHidden, bufLogits, bufScores, bufStats matrix
}

// sequence is one running completion.
type sequence struct {
	index  int32 // of its request
	src    rng.Source
	prompt *cache // shared with other completions, or nil: then own begins with the prompt
	own    cache
	read   int     // tokens of the prompt that were carried through the model
	text   []int32 // of a held sequence: the tokens whose keys and values it has
}

// cached is how many tokens a sequence has keys and values of.
func (q *sequence) cached() int {
	if q.prompt != nil {
		return q.prompt.n + q.own.n
	}
	return q.own.n
}

// span is a prompt that is being read: the rows of w.inputs, where its keys and values go, and whose it is.
type span struct {
	first, n  int
	into      *cache
	sequences []*sequence // part of w.fresh
}

// readRows is how many rows of prompts are read at once.
const readRows = 256

func newWorker(s *Sampler) *worker { return &worker{s: s, attn: s.model.Attention()} }

// run carries requests until none is left or the context ends.
func (w *worker) run() {
	for {
		if w.s.ctx.Err() != nil {
			w.abandon()
			return
		}
		if len(w.active) <= w.s.rows/2 {
			w.admit(w.s.take(w.s.rows - len(w.active)))
		}
		if len(w.active) > 0 {
			w.step()
		} else if w.s.done() { // otherwise all of them ended with their first tokens
			return
		}
	}
}

// abandon gives back everything that is under way.
func (w *worker) abandon() {
	for _, q := range w.active {
		w.retire(q)
	}
	w.active = w.active[:0]
}

// admit begins the completions of the given requests, which are sorted by prompt.
func (w *worker) admit(indices []int32) {
	w.fresh = w.fresh[:0]
	for _, i := range indices {
		q := w.s.resume(w.s.requests[i].Prompt)
		if q != nil {
			w.active = append(w.active, q)
		} else {
			q = w.newSequence()
			q.prompt, q.read = nil, len(w.s.requests[i].Prompt)
			w.fresh = append(w.fresh, q)
		}
		root := rng.New(w.s.requests[i].Seed)
		q.index, q.src = i, root.Split("decode")
	}
	rest := w.fresh
	for len(rest) > 0 {
		rest = rest[w.read(rest):]
	}
	w.fresh = w.fresh[:0]
}

func (w *worker) newSequence() *sequence {
	if n := len(w.idle); n > 0 {
		q := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return q
	}
	return new(sequence)
}

func (w *worker) newCache() *cache {
	if n := len(w.caches); n > 0 {
		c := w.caches[n-1]
		w.caches = w.caches[:n-1]
		return c
	}
	return new(cache)
}

// retire takes back an ended completion, unless it is held for later calls.
func (w *worker) retire(q *sequence) {
	if !w.s.keep(q) {
		w.reuse(q)
	}
}

func (w *worker) reuse(q *sequence) {
	if p := q.prompt; p != nil {
		if p.users.Add(-1) == 0 {
			w.caches = append(w.caches, p)
		}
		q.prompt = nil
	}
	w.idle = append(w.idle, q)
}

// read reads the prompts of as many of the fresh sequences as fit into readRows rows, at least one prompt, samples their
// first tokens and makes them active. It returns how many they were.
func (w *worker) read(fresh []*sequence) (taken int) {
	cfg := w.s.model.Config
	w.inputs, w.keep, w.spans = w.inputs[:0], w.keep[:0], w.spans[:0]
	for taken < len(fresh) {
		prompt := w.s.requests[fresh[taken].index].Prompt
		end := taken + 1
		for end < len(fresh) && slices.Equal(w.s.requests[fresh[end].index].Prompt, prompt) {
			end++
		}
		if taken > 0 && len(w.inputs)+len(prompt) > readRows {
			break
		}
		into := &fresh[taken].own
		if end-taken > 1 {
			into = w.newCache()
		}
		into.reset(cfg.Layers, cfg.Width, len(prompt)+1)
		w.spans = append(w.spans, span{first: len(w.inputs), n: len(prompt), into: into, sequences: fresh[taken:end]})
		prev := int32(-1)
		for pos, token := range prompt {
			w.inputs = append(w.inputs, input{token, prev, int32(pos)})
			prev = token
		}
		w.keep = append(w.keep, int32(len(w.inputs)-1))
		taken = end
	}
	logits := w.forward((*worker).attendPrompts, w.keep)
	for i, sp := range w.spans {
		sp.into.n = sp.n
		shared := len(sp.sequences) > 1
		if shared {
			sp.into.users.Store(int32(len(sp.sequences))) // before any of them can end
		}
		row := logits[i*cfg.Vocab : (i+1)*cfg.Vocab]
		for _, q := range sp.sequences {
			if shared {
				q.prompt = sp.into
				q.own.reset(cfg.Layers, cfg.Width, 1)
			}
			if w.accept(q, row) {
				w.retire(q)
			} else {
				w.active = append(w.active, q)
			}
		}
	}
	return taken
}

// accept samples the next token of a completion and says whether it ends with it.
func (w *worker) accept(q *sequence, logits []float32) (done bool) {
	request, result := &w.s.requests[q.index], &w.s.results[q.index]
	token, logProb := w.choose(request, len(result.Tokens), &q.src, logits)
	result.Tokens = append(result.Tokens, token)
	result.LogProbs = append(result.LogProbs, logProb)
	switch {
	case ended(request, result.Tokens):
		result.Finish = llm.FinishStop
	case len(result.Tokens) == cap(result.Tokens):
		result.Finish = llm.FinishLength
	default:
		return false
	}
	return true
}

// step samples one more token of every active completion.
func (w *worker) step() {
	vocab := w.s.model.Config.Vocab
	w.inputs = w.inputs[:0]
	for _, q := range w.active {
		q.own.grow()
		prompt, tokens := w.s.requests[q.index].Prompt, w.s.results[q.index].Tokens
		if q.read < len(prompt) { // a resumed sequence reads the rest of its prompt
			w.inputs = append(w.inputs, input{prompt[q.read], prompt[q.read-1], int32(q.read)})
			continue
		}
		last := len(tokens) - 1
		prev := prompt[len(prompt)-1]
		if last > 0 {
			prev = tokens[last-1]
		}
		w.inputs = append(w.inputs, input{tokens[last], prev, int32(len(prompt) + last)})
	}
	logits := w.forward((*worker).attendStep, nil)
	running := 0
	for i, q := range w.active {
		q.own.n++
		if n := len(w.s.requests[q.index].Prompt); q.read < n {
			if q.read++; q.read < n {
				w.active[running] = q
				running++
				continue
			}
		}
		if w.accept(q, logits[i*vocab:(i+1)*vocab]) {
			w.retire(q)
		} else {
			w.active[running] = q
			running++
		}
	}
	w.active = w.active[:running]
}

// attendPrompts is causal attention within each prompt that is being read.
func (w *worker) attendPrompts(layer int) {
	width, hw := w.s.model.Config.Width, w.attn.HeadWidth
	ld := 3 * width
	for _, sp := range w.spans {
		n, c := sp.n, sp.into
		qkv, z := w.qkv[sp.first*ld:], w.z[sp.first*width:]
		c.put(layer, 0, n, qkv)
		p := w.bufScores.rows(n * n)
		for lo := 0; lo < width; lo += hw {
			kernel.CausalScores(n, hw, qkv[lo:], ld, qkv[width+lo:], ld, p, &w.ws)
			kernel.CausalSoftmax(p, n)
			kernel.CausalMix(n, hw, p, qkv[2*width+lo:], ld, z[lo:], width, false)
		}
	}
}

// attendStep is attention of each active completion's newest token to its prompt and to itself.
func (w *worker) attendStep(layer int) {
	longest := 0
	for _, q := range w.active {
		n := q.own.n + 1
		if q.prompt != nil {
			n += q.prompt.n
		}
		longest = max(longest, n)
	}
	w.scoreStride = longest + kernel.KeyBlock // scores are written a block at a time
	w.scores = w.bufScores.rows(len(w.active) * w.attn.Heads * w.scoreStride)
	for first := 0; first < len(w.active); {
		end := first + 1
		if p := w.active[first].prompt; p != nil {
			for end < len(w.active) && w.active[end].prompt == p {
				end++
			}
		}
		w.attendGroup(layer, first, end)
		first = end
	}
}

// attendGroup is attention of the active completions from first to end, which share a prompt or are only one. Each score
// and each output is one chain over ascending channels or tokens, begun over the prompt and ended over the completion.
func (w *worker) attendGroup(layer, first, end int) {
	width, hw, heads := w.s.model.Config.Width, w.attn.HeadWidth, w.attn.Heads
	ld, stride := 3*width, w.scoreStride
	group, scores := w.active[first:end], w.scores[first*heads*stride:]
	prompt, shared := group[0].prompt, 0
	if prompt != nil {
		shared = prompt.n
		w.promptScores(prompt.layerKeys(layer), shared, len(group), w.qkv[first*ld:], scores)
	}
	for i, q := range group {
		own, row := q.own.n+1, scores[i*heads*stride:]
		token := w.qkv[(first+i)*ld : (first+i+1)*ld]
		q.own.put(layer, q.own.n, 1, token) // just before its block is read: keys are many lines
		kernel.AttendScores(heads, hw, own, token, q.own.layerKeys(layer), row[shared:], stride)
		kernel.SoftmaxRows(row, stride, heads, shared+own)
	}
	if prompt != nil {
		for h := range heads {
			kernel.Gemm(false, false, len(group), hw, shared, scores[h*stride:], heads*stride, prompt.layerValues(layer)[h*hw:], width, w.z[first*width+h*hw:], width, false, &w.ws)
		}
	}
	for i, q := range group {
		kernel.AttendValues(heads, hw, q.own.n+1, scores[i*heads*stride+shared:], stride, q.own.layerValues(layer), w.z[(first+i)*width:], prompt != nil)
	}
}

// promptScores computes the scores of some completions' queries, which begin the rows of qkv, with the n keys of their prompt.
func (w *worker) promptScores(keys []float32, n, group int, qkv, scores []float32) {
	width, hw, heads := w.s.model.Config.Width, w.attn.HeadWidth, w.attn.Heads
	const block = kernel.KeyBlock
	for t := 0; t < n; t += block {
		for h := range heads {
			kernel.Gemm(false, false, group, min(block, n-t), hw, qkv[h*hw:], 3*width, keys[t*width+h*hw*block:], block,
				scores[h*w.scoreStride+t:], heads*w.scoreStride, false, &w.ws)
		}
	}
}
