package decode

// Hold keeps the caches of completions that end from now on, so that a later prompt that begins with the prompt of one of them,
// or is the same, reads only what is new. It changes no result. Until Release the model must not be changed.
func (s *Sampler) Hold() {
	if s.held == nil {
		s.held = map[uint64][]*sequence{}
	}
}

// Release forgets what is held. The model may be changed again.
func (s *Sampler) Release() {
	i := 0
	for _, bucket := range s.held {
		for _, q := range bucket {
			s.workers[i%len(s.workers)].reuse(q)
			i++
		}
	}
	s.held = nil
}

// lookBack is how many tokens a prompt may be longer than the one that it goes on from.
const lookBack = 16

// keep holds an ended completion, if completions are held. It says whether it did.
func (s *Sampler) keep(q *sequence) bool {
	if s.held == nil || s.ctx.Err() != nil {
		return false
	}
	prompt, tokens := s.requests[q.index].Prompt, s.results[q.index].Tokens
	if q.cached() < len(prompt) {
		return false
	}
	q.text = append(append(q.text[:0], prompt...), tokens[:q.cached()-len(prompt)]...)
	h := uint64(hashBasis)
	for _, t := range prompt {
		h = hash(h, t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[h] = append(s.held[h], q)
	return true
}

// resume takes a held sequence that a prompt can go on from, or returns nil. Of those with the longest fitting prompt it takes
// the one that agrees the furthest. At least the prompt's last token is left to read.
func (s *Sampler) resume(prompt []int32) *sequence {
	if s.held == nil {
		return nil
	}
	var ends [lookBack + 1]uint64 // hashes of the prompt without its last 0, 1, 2, ... tokens
	h := uint64(hashBasis)
	n := len(prompt)
	for i, t := range prompt {
		h = hash(h, t)
		if back := n - 1 - i; back <= lookBack {
			ends[back] = h
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for back := range min(lookBack+1, n) {
		bucket := s.held[ends[back]]
		best, most := -1, 0
		for i, q := range bucket {
			m := common(q.text, prompt[:n-1])
			if m > most && m >= min(n-back, n-1) && (q.prompt == nil || m >= q.prompt.n) {
				best, most = i, m
			}
		}
		if best < 0 {
			continue
		}
		q := bucket[best]
		bucket[best] = bucket[len(bucket)-1]
		s.held[ends[back]] = bucket[:len(bucket)-1]
		q.own.n -= q.cached() - most
		q.read = most
		return q
	}
	return nil
}

// common is the number of tokens in which two texts agree from their beginning.
func common(a, b []int32) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Fowler, Noll and Vo's hash FNV-1a, a token at a time.
const hashBasis = 14695981039346656037

func hash(h uint64, token int32) uint64 { return (h ^ uint64(uint32(token))) * 1099511628211 }
