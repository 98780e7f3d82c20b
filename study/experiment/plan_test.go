package experiment

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func planOf(t testing.TB, spec *Spec) *plan {
	t.Helper()
	p, err := newPlan(spec, "generic")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ids are the stage folders of an arm.
func (p *plan) ids(arm string, seed int) []string {
	var out []string
	for _, st := range p.chain[use{arm, seed}] {
		out = append(out, st.id)
	}
	return out
}

func TestEqualStagesAreOne(t *testing.T) {
	plain := planOf(t, parse(t, tiny))

	// the same stages under other arms, names and sentences
	twin := strings.NewReplacer("name: small\n", "name: big\n", "about: A language model.", "about: Something else.",
		"from: small", "from: big", "reader: small", "reader: small-2", "  - name: rl\n", `  - name: small-2
    stages:
      - init: {model: small}
      - pretrain: {corpus: web, steps: 7, batch: 4, optim: {lr: 0.01, schedule: linear}}
  - name: rl
`).Replace(tiny)
	renamed := planOf(t, parse(t, twin))
	if diff := cmp.Diff(plain.ids("small", 3), renamed.ids("big", 3)); diff != "" {
		t.Errorf("an arm's name changes its stages:\n%s", diff)
	}
	if diff := cmp.Diff(plain.ids("small", 3)[:2], renamed.ids("small-2", 3)); diff != "" {
		t.Errorf("arms do not share what they have in common:\n%s", diff)
	}
	if len(renamed.stages) != len(plain.stages) {
		t.Errorf("%d stages, with a twin of an arm %d", len(plain.stages), len(renamed.stages))
	}
	if got := renamed.chain[use{"small-2", 3}][1].uses; !slices.Contains(got, use{"big", 3}) || !slices.Contains(got, use{"small-2", 3}) {
		t.Errorf("the shared stage does not know its arms: %v", got)
	}

	// arms in another order
	spec := parse(t, tiny)
	spec.Arms = []Arm{spec.Arms[4], spec.Arms[3], spec.Arms[0], spec.Arms[2], spec.Arms[1]}
	moved := planOf(t, spec)
	for _, arm := range spec.Arms {
		if diff := cmp.Diff(plain.ids(arm.Name, 3), moved.ids(arm.Name, 3)); diff != "" {
			t.Errorf("the order of arms changes the stages of %s:\n%s", arm.Name, diff)
		}
	}
}

func TestOrderIsTopological(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec, err := Parse("tiny.yaml", []byte(tiny))
		if err != nil {
			t.Fatal(err)
		}
		spec.SetSeeds(rapid.IntRange(1, 4).Draw(t, "seeds"))
		for _, arm := range spec.Arms {
			if rapid.Bool().Draw(t, "drop "+arm.Name) {
				if err := spec.Keep([]string{arm.Name}); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		p, err := newPlan(spec, "generic")
		if err != nil {
			t.Fatal(err)
		}
		before := map[*stage]bool{}
		ids := map[string]bool{}
		for _, st := range p.stages {
			for _, need := range st.needs() {
				if !before[need] {
					t.Fatalf("%s stands before %s, which it needs", st.id, need.id)
				}
			}
			if before[st] = true; ids[st.id] {
				t.Fatalf("%s stands twice", st.id)
			}
			ids[st.id] = true
		}
	})
}

// leaves calls visit for each number, text and switch in v; set changes it.
func leaves(v reflect.Value, path string, visit func(path string, change func())) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			leaves(v.Elem(), path, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
		if v.Kind() == reflect.Slice {
			visit(path+"+", func() { v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem())) })
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(key))
			leaves(e, fmt.Sprintf("%s[%v]", path, key), func(path string, change func()) {
				visit(path, func() { change(); v.SetMapIndex(key, e) })
			})
		}
	case reflect.String:
		visit(path, func() { v.SetString(v.String() + "x") })
	case reflect.Int:
		visit(path, func() { v.SetInt(v.Int() + 1) })
	case reflect.Float64:
		visit(path, func() { v.SetFloat(v.Float() + 1) })
	case reflect.Bool:
		visit(path, func() { v.SetBool(!v.Bool()) })
	default:
		panic("a setting of type " + v.Type().String())
	}
}

// Every setting of a stage, and of the parts that it names, is in its hash.
func TestEverySettingCounts(t *testing.T) {
	for _, ref := range []struct {
		arm, stage int
	}{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {3, 1}, {4, 1}, {4, 2}, {5, 0}, {5, 1}, {5, 2}, {5, 3}, {7, 1}, {8, 1}, {8, 2}} {
		base := planOf(t, parse(t, tiny))
		id := func(p *plan) string {
			spec := p.spec
			return p.ids(spec.Arms[ref.arm].Name, spec.Seeds[0])[ref.stage]
		}
		var paths []string
		what := parse(t, tiny).Arms[ref.arm].Stages[ref.stage]
		leaves(reflect.ValueOf(&what), "", func(path string, _ func()) { paths = append(paths, path) })
		for _, path := range paths {
			if strings.HasSuffix(path, ".Model") || strings.HasSuffix(path, ".Reader") || strings.Contains(path, ".Judges[") {
				continue // names of parts that must exist: the plan needs them
			}
			spec := parse(t, tiny)
			leaves(reflect.ValueOf(&spec.Arms[ref.arm].Stages[ref.stage]), "", func(p string, change func()) {
				if p == path {
					change()
				}
			})
			if id(planOf(t, spec)) == id(base) {
				t.Errorf("%s: %s is not in the hash", what.kind(), path)
			}
		}
		if len(paths) == 0 {
			t.Error("no settings")
		}
	}
}

func TestEverySettingOfAPartCounts(t *testing.T) {
	all := func(spec *Spec) map[string]reflect.Value {
		return map[string]reflect.Value{"models": reflect.ValueOf(&spec.Models), "corpora": reflect.ValueOf(&spec.Corpora),
			"problems": reflect.ValueOf(&spec.Problems), "planning": reflect.ValueOf(&spec.Planning),
			"sums": reflect.ValueOf(&spec.Sums), "essays": reflect.ValueOf(&spec.Essays), "organisms": reflect.ValueOf(&spec.Organisms)}
	}
	base := planOf(t, parse(t, tiny))
	for section, v := range all(parse(t, tiny)) {
		var paths []string
		leaves(v, section, func(path string, _ func()) { paths = append(paths, path) })
		for _, path := range paths {
			spec := parse(t, tiny)
			leaves(all(spec)[section], section, func(p string, change func()) {
				if p == path {
					change()
				}
			})
			p := planOf(t, spec)
			var changed, same []string
			for i, st := range p.stages {
				if st.id == base.stages[i].id {
					same = append(same, st.kind)
				} else {
					changed = append(changed, st.kind)
				}
			}
			if len(changed) == 0 || len(same) == 0 {
				t.Errorf("%s: %d stages change, %d do not", path, len(changed), len(same))
			}
		}
	}
}

func TestSeedKernelAndVersionCount(t *testing.T) {
	spec := parse(t, tiny)
	spec.SetSeeds(2)
	p := planOf(t, spec)
	other, err := newPlan(parse(t, tiny), "avx2")
	if err != nil {
		t.Fatal(err)
	}
	for arm, n := range map[string]int{"small": 4, "rl": 2} {
		for i := range n {
			if a, b := p.ids(arm, 3)[i], p.ids(arm, 4)[i]; a == b {
				t.Errorf("two seeds share %s", a)
			}
			if a, b := p.ids(arm, 3)[i], other.ids(arm, 3)[i]; a == b {
				t.Errorf("two kernels share %s", a)
			}
		}
	}
	versions["pretrain"]++
	defer func() { versions["pretrain"]-- }()
	raised := planOf(t, parse(t, tiny))
	for i, want := range []bool{true, false, false, false} { // what comes after pretraining changes as well
		if same := p.ids("small", 3)[i] == raised.ids("small", 3)[i]; same != want {
			t.Errorf("a new version of pretrain: stage %s equal is %v", p.ids("small", 3)[i], same)
		}
	}
	if p.ids("rl", 3)[0] == raised.ids("rl", 3)[0] {
		t.Error("a stage's input is not in its hash")
	}
	if diff := cmp.Diff(p.ids("decorative", 3), raised.ids("decorative", 3)); diff != "" {
		t.Errorf("stages change that no version of theirs changed:\n%s", diff)
	}
}

// The reader's model, not only its name, is in the hash.
func TestReaderCounts(t *testing.T) {
	yaml := edited(t, tiny, "  - name: rl\n", "  - name: judge\n    stages:\n      - init: {model: small}\n  - name: rl\n")
	yaml = edited(t, yaml, "reader: small", "reader: judge")
	a := planOf(t, parse(t, yaml))
	b := planOf(t, parse(t, edited(t, yaml, "  - name: judge\n    stages:\n      - init: {model: small}\n", "  - name: judge\n    from: small\n    stages:\n      - sft: {problems: core, data: chain, steps: 1, batch: 1, optim: {lr: 1}}\n")))
	if a.ids("rl", 3)[0] != b.ids("rl", 3)[0] || a.ids("rl", 3)[1] == b.ids("rl", 3)[1] {
		t.Error("another reader must change the evaluation, and it alone")
	}
	if needs := a.chain[use{"rl", 3}][1].needs(); len(needs) != 2 {
		t.Errorf("an evaluation with a reader needs %d stages", len(needs))
	}
}

// So it is with the reader of a battery, and with its judges. Arms that begin alike share what is alike.
func TestReaderOfABatteryCounts(t *testing.T) {
	plain := planOf(t, parse(t, tiny))
	other := planOf(t, parse(t, edited(t, tiny, "organism: reader, steps: 3", "organism: reader, steps: 4")))
	a, b := plain.ids("telling", 3), other.ids("telling", 3)
	if a[0] != b[0] || a[1] != b[1] || a[2] == b[2] {
		t.Errorf("another reader must change the battery, and it alone: %v, %v", a, b)
	}
	other = planOf(t, parse(t, edited(t, tiny, "judge: [telling, silent], steps: 3", "judge: [telling, silent], steps: 4")))
	if b := other.ids("telling", 3); a[0] != b[0] || a[1] != b[1] || a[2] == b[2] {
		t.Errorf("another judge must change the battery, and it alone: %v, %v", a, b)
	}
	if a[0] != plain.ids("duo", 3)[0] || a[1] == plain.ids("listener", 3)[1] {
		t.Errorf("the first stages of three arms: %v, %v, %v", a, plain.ids("duo", 3), plain.ids("listener", 3))
	}
	if needs := plain.chain[use{"telling", 3}][2].needs(); len(needs) != 3 || needs[1] != plain.final[use{"listener", 3}] || needs[2] != plain.final[use{"juror", 3}] {
		t.Errorf("a battery with a reader needs %d stages", len(needs))
	}
	spec := parse(t, tiny)
	if err := spec.Keep([]string{"telling"}); err != nil || len(spec.Arms) != 3 || spec.Arms[0].Name != "listener" || spec.Arms[1].Name != "juror" {
		t.Errorf("an organism is kept without who reads it: %v, %v", spec.Arms, err)
	}
}

func TestKeepAndSetSeeds(t *testing.T) {
	spec := parse(t, tiny)
	if err := spec.Keep([]string{"rl"}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range spec.Arms {
		names = append(names, a.Name)
	}
	if diff := cmp.Diff([]string{"small", "rl"}, names); diff != "" {
		t.Errorf("kept arms:\n%s", diff)
	}
	if err := spec.Keep([]string{"coin"}); err == nil || !strings.Contains(err.Error(), "it has: rl, small") {
		t.Errorf("an arm that is not there: %v", err)
	}
	spec.SetSeeds(3)
	if diff := cmp.Diff([]int{3, 4, 5}, spec.Seeds); diff != "" {
		t.Errorf("more seeds:\n%s", diff)
	}
	spec.SetSeeds(1)
	if diff := cmp.Diff([]int{3}, spec.Seeds); diff != "" {
		t.Errorf("fewer seeds:\n%s", diff)
	}
}
