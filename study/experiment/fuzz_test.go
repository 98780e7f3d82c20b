package experiment

import (
	"errors"
	"testing"
)

// FuzzParse holds that reading a spec never panics and that every error has a place in the file, and that whatever is
// accepted can be planned.
func FuzzParse(f *testing.F) {
	for _, name := range Builtin() {
		data, err := specFiles.ReadFile("specs/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(tiny))
	for _, m := range mistakes {
		if yaml := m.yaml(f); len(yaml) < 1<<14 {
			f.Add([]byte(yaml))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Parse("fuzz.yaml", data)
		if err != nil {
			var p *PositionError
			if !errors.As(err, &p) || p.Line < 1 || p.Column < 1 {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		p, err := newPlan(spec, "generic")
		if err != nil {
			t.Fatalf("a valid spec has no plan: %v", err)
		}
		for _, s := range p.stages {
			if !(s.cost > 0) {
				t.Fatalf("stage %s costs %g", s.id, s.cost)
			}
		}
	})
}
