package gateway

import (
	"fmt"
	"slices"
	"strings"

	"candor/reasoning/compose"
)

// Follow is what follows when a gate does not pass an output.
type Follow string

// What can follow, from the mildest to the strictest.
const (
	Release  Follow = "release"
	Resample Follow = "resample"
	Defer    Follow = "defer"
	Hold     Follow = "hold"
	Block    Follow = "block"
)

var follows = []Follow{Release, Resample, Defer, Hold, Block}

// Follows lists what can follow on a verdict, as words.
func Follows(state compose.State) []string {
	var out []string
	for _, f := range follows {
		if f != Release || state == compose.Block {
			out = append(out, string(f))
		}
	}
	return out
}

// Rule is what follows for one gate; "" is block.
type Rule struct {
	// Monitor, Sees and Threshold are the gate's, and About says where the threshold comes from: for the page and the record.
	Monitor   string       `json:"monitor"`
	Sees      compose.Part `json:"sees"`
	Threshold float64      `json:"threshold"`
	About     string       `json:"about,omitempty"`
	OnBlock   Follow       `json:"on_block"`
	// OnError is for gates that failed or were not run. It cannot be release.
	OnError Follow `json:"on_error"`
}

// check says what is wrong with a rule of a system.
func (r Rule) check(s *System) error {
	for _, f := range []struct {
		name  string
		does  Follow
		state compose.State
	}{{"on_block", r.OnBlock, compose.Block}, {"on_error", r.OnError, compose.Failed}} {
		if f.does != "" && !slices.Contains(Follows(f.state), string(f.does)) {
			return fmt.Errorf("%s is %q, must be one of %s", f.name, f.does, strings.Join(Follows(f.state), ", "))
		}
		if f.does == Defer && s.Trusted == nil {
			return fmt.Errorf("%s is defer, but there is no trusted model to defer to", f.name)
		}
		if f.does == Resample && s.Tries < 2 {
			return fmt.Errorf("%s is resample, but tries is %d, must be 2 or more", f.name, s.Tries)
		}
	}
	return nil
}

// strictest returns what follows the verdicts, and names the gates that ask for it.
func strictest(verdicts []compose.Verdict, rules []Rule) (does Follow, gates []string) {
	rank := -1
	for i, v := range verdicts {
		asked := Block
		switch {
		case v.State == compose.Pass || v.Off:
			continue
		case i >= len(rules):
		case v.State == compose.Block && rules[i].OnBlock != "":
			asked = rules[i].OnBlock
		case v.State != compose.Block && rules[i].OnError != "":
			asked = rules[i].OnError
		}
		switch n := slices.Index(follows, asked); {
		case n > rank:
			rank, does, gates = n, asked, []string{v.Monitor}
		case n == rank:
			gates = append(gates, v.Monitor)
		}
	}
	if rank < 0 {
		return Block, nil // nothing objects, and yet it was not released: there is no output
	}
	return does, gates
}
