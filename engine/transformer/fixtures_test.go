package transformer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"candor/engine/kernel"
	"candor/engine/optim"
	"candor/engine/tensor"
)

// floats is base64 of little-endian float32 in JSON.
type floats []float32

func (f *floats) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return err
	}
	*f = make(floats, len(raw)/4)
	for i := range *f {
		(*f)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

// fixture is what testdata/make_fixtures.py computed with PyTorch.
type fixture struct {
	Config Config
	Optim  optim.Config
	Batch  []struct {
		Tokens []int32
		Weight []float32
		Spans  [][2][2]int
	}
	Logits               floats
	Losses, Norms, Rates []float64
	Tensors              []struct {
		Name               string
		Shape              []int
		Start, Grad, After floats
	}
}

func (f *fixture) batch() []Sequence {
	batch := make([]Sequence, len(f.Batch))
	for i, s := range f.Batch {
		batch[i] = Sequence{Tokens: s.Tokens, Weight: s.Weight}
		for _, b := range s.Spans {
			batch[i].Blocks = append(batch[i].Blocks, Block{
				From: Span{Start: b[0][0], End: b[0][1]}, To: Span{Start: b[1][0], End: b[1][1]},
			})
		}
	}
	return batch
}

func readFixture(t *testing.T, path string) (*fixture, *Model) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{}
	if err := json.Unmarshal(text, f); err != nil {
		t.Fatal(err)
	}
	m, err := Zero(f.Config)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Tensors()) != len(f.Tensors) {
		t.Fatalf("the model has %d tensors, PyTorch's has %d", len(m.Tensors()), len(f.Tensors))
	}
	for i, tn := range m.Tensors() {
		want := f.Tensors[i]
		if tn.Name != want.Name || !slices.Equal(tn.Shape, want.Shape) {
			t.Fatalf("tensor %d is %s %v, PyTorch's is %s %v", i, tn.Name, tn.Shape, want.Name, want.Shape)
		}
		copy(tn.Data, want.Start)
	}
	return f, m
}

// near fails unless got and want differ by at most tol of want's largest number.
func near(t *testing.T, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, PyTorch has %d", what, len(got), len(want))
		return
	}
	var largest float64
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	for i := range want {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= tol*largest+1e-6) {
			t.Errorf("%s: number %d is %g, PyTorch has %g", what, i, got[i], want[i])
			return
		}
	}
}

// On every kernel: logits, loss, gradients, and ten steps of clipped AdamW on a schedule are PyTorch's.
func TestAgreesWithPyTorch(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("found the fixtures %v, error %v; testdata/make_fixtures.py writes them", files, err)
	}
	best := kernel.Name()
	t.Cleanup(func() {
		if err := kernel.Use(best); err != nil {
			t.Error(err)
		}
	})
	pool := tensor.NewPool(2)
	defer pool.Close()
	for _, file := range files {
		for _, impl := range kernel.Available() {
			t.Run(filepath.Base(file)+"/"+impl, func(t *testing.T) {
				if err := kernel.Use(impl); err != nil {
					t.Fatal(err)
				}
				compare(t, file, pool)
			})
		}
	}
}

func compare(t *testing.T, file string, pool *tensor.Pool) {
	f, m := readFixture(t, file)
	batch := f.batch()

	rows := make([][]float32, 0, 64)
	byShard := map[int][][]float32{}
	scorer := NewScorer(m, tensor.NewPool(1))
	err := scorer.Score(batch, func(shard, _, _ int, _ int32, logits []float32) {
		byShard[shard] = append(byShard[shard], slices.Clone(logits))
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range Shards {
		rows = append(rows, byShard[i]...)
	}
	near(t, "logits", slices.Concat(rows...), f.Logits, 2e-5)

	trainer := NewTrainer(m, pool)
	if _, err := trainer.Gradient(batch, CrossEntropy(1)); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, tn := range f.Tensors {
		near(t, "gradient of "+tn.Name, trainer.Grad[at:at+len(tn.Grad)], tn.Grad, 1e-4)
		at += len(tn.Grad)
	}

	opt, err := optim.New(f.Optim, len(f.Losses), len(m.Flat()), m.Decayed())
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Losses {
		loss, err := trainer.Gradient(batch, CrossEntropy(1))
		if err != nil {
			t.Fatal(err)
		}
		norm, rate := opt.Step(m.Flat(), trainer.Grad)
		got, want := []float64{loss, norm, rate}, []float64{f.Losses[i], f.Norms[i], f.Rates[i]}
		for j, what := range []string{"loss", "norm", "learning rate"} {
			if !(math.Abs(got[j]-want[j]) <= 1e-4*math.Abs(want[j])) {
				t.Errorf("step %d: %s %g, PyTorch has %g", i, what, got[j], want[j])
			}
		}
	}
	for i, tn := range m.Tensors() {
		near(t, tn.Name+" after the steps", tn.Data, f.Tensors[i].After, 2e-4)
	}
}
