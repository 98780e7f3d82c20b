package main

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"candor/engine/checkpoint"
	"candor/engine/tensor"
	"candor/engine/tokenizer"
	"candor/engine/transformer"
	"candor/internal/rng"
	"candor/reasoning/task"
)

// nodeModules returns the folder with the npm packages that read exported models, or skips the test. To have them:
//
//	npm install --prefix DIR --ignore-scripts node-llama-cpp@3.22.1 @huggingface/transformers@4.3.1
//	CANDOR_NODE_MODULES=DIR/node_modules go test ./cmd/candor -run 'TestLlama|TestTransformers'
func nodeModules(t *testing.T, pkg string) string {
	t.Helper()
	dir := os.Getenv("CANDOR_NODE_MODULES")
	if dir == "" {
		t.Skip("CANDOR_NODE_MODULES does not name a folder with the npm package " + pkg)
	}
	// a folder that is named but wrong is a fault, lest the test never run
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("CANDOR_NODE_MODULES is set, but there is no node in PATH; install Node.js 20 or newer")
	}
	if !exists(filepath.Join(dir, pkg)) {
		t.Fatalf("CANDOR_NODE_MODULES is %s, which has no %s", dir, pkg)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// question is what is asked of an exported model, answer what other software says.
type (
	question struct {
		name      string
		model     checkpoint.Checkpoint
		File      string    `json:"file"`
		Sequences [][]int32 `json:"sequences"`
		New       int       `json:"new"`
		Texts     []string  `json:"texts"`
	}
	answer struct {
		Logits [][][]float64
		Greedy [][]int32
		IDs    [][]int32
		Texts  []string
		End    int32
	}
)

// ask lets a script of testdata answer.
func ask(t *testing.T, questions []question, script, modules string) []answer {
	t.Helper()
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", script), modules)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	var answers []answer
	if err == nil {
		err = json.Unmarshal(out, &answers)
	}
	if err != nil || len(answers) != len(questions) {
		t.Fatalf("%s: %v\n%s", script, err, stderr.Bytes())
	}
	return answers
}

// exportable are models to export: those inside this program, which are rotary and trained, and untrained ones of all other
// kinds that can be exported.
func exportable(t *testing.T) map[string]checkpoint.Checkpoint {
	t.Helper()
	out := map[string]checkpoint.Checkpoint{}
	for _, name := range []string{"honest", "penalty"} {
		c, err := exported(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = c
	}
	tok, err := tokenizer.New(strings.Fields("q i14 -2 12 1 -123 : mod é , ▂ <x> <|end| 2 a ab abc b c"), tokenizer.End)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]transformer.Config{
		"gpt2-tied":   {Layers: 2, Heads: 4, Width: 32, Context: 24, Positions: []string{"learned"}, Tied: true},
		"gpt2":        {Layers: 3, Heads: 2, Width: 24, Context: 40, Positions: []string{"learned"}},
		"neox-untied": {Layers: 3, Heads: 3, Width: 36, Context: 72, Positions: []string{"rotary"}},
	} {
		cfg.Vocab = tok.Size()
		m, err := transformer.New(cfg, rng.New(7))
		if err != nil {
			t.Fatal(err)
		}
		// biases that are not 0 and gains that are not 1, too
		noise := rng.New(8)
		for i := range m.Flat() {
			m.Flat()[i] += float32(0.1 * noise.Norm())
		}
		out[name] = checkpoint.Checkpoint{Model: m, Tokenizer: tok}
	}
	return out
}

// scored returns a model's log-probabilities after each token of a sequence.
func scored(t *testing.T, m *transformer.Model, ids []int32) [][]float64 {
	t.Helper()
	out := make([][]float64, len(ids))
	s := transformer.Sequence{Tokens: append(slices.Clone(ids), 0), Weight: make([]float32, len(ids)+1)}
	for i := range s.Weight {
		s.Weight[i] = 1
	}
	err := transformer.NewScorer(m, tensor.NewPool(1)).Score([]transformer.Sequence{s}, func(_, _, pos int, _ int32, logits []float32) {
		row := make([]float64, len(logits))
		for i, x := range logits {
			row[i] = float64(x)
		}
		out[pos-1] = logSoftmax(row)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func logSoftmax(x []float64) []float64 {
	most, sum := slices.Max(x), 0.0
	for _, v := range x {
		sum += math.Exp(v - most)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v - most - math.Log(sum)
	}
	return out
}

// llama.cpp computes from an exported file what candor computes: log-probabilities everywhere, the likeliest continuation,
// and the ids of texts.
func TestLlamaCpp(t *testing.T) {
	modules := nodeModules(t, "node-llama-cpp")
	asked := questions(t)
	for i, q := range asked {
		asked[i].File = filepath.Join(t.TempDir(), "model.gguf")
		if err := checkpoint.ExportGGUF(asked[i].File, q.name, q.model); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range ask(t, asked, "llama.mjs", modules) {
		q := asked[i]
		checkLogits(t, q, got.Logits)
		for i, ids := range q.Sequences {
			checkGreedy(t, q, ids, got.Greedy[i])
		}
		for i, text := range q.Texts {
			// llama.cpp writes no space before a special word, and one before the first
			got.Texts[i] = strings.TrimSpace(strings.ReplaceAll(got.Texts[i], tokenizer.End, " "+tokenizer.End))
			checkText(t, q, text, got.IDs[i], got.Texts[i])
		}
	}
}

// checkLogits compares log-probabilities. On processors llama.cpp looks GELU up in a table of 16 bits, which moves them by
// some thousandths; with that table in the reference next to nothing is left.
func checkLogits(t *testing.T, q question, got [][][]float64) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "model")
	if err := checkpoint.ExportHF(folder, q.model); err != nil {
		t.Fatal(err)
	}
	r := readReference(t, folder)
	r.gelu = geluHalf
	var most, mostTable, squares, n float64
	for i, ids := range q.Sequences {
		exact, table := scored(t, q.model.Model, ids), r.logits(ids)
		for pos, logits := range got[i] {
			table := logSoftmax(table[pos])
			for id, lp := range logSoftmax(logits) {
				most = max(most, math.Abs(lp-exact[pos][id]))
				mostTable = max(mostTable, math.Abs(lp-table[id]))
				squares += (lp - table[id]) * (lp - table[id])
				n++
			}
		}
	}
	mean := math.Sqrt(squares / n)
	t.Logf("%s: log-probabilities differ by at most %.2g; with GELU from a table by at most %.2g, on average %.2g", q.name, most, mostTable, mean)
	// a number that lies between two of the table's may be taken for either: a few may be off by more than the average tells
	if !(most <= 2e-2 && mostTable <= 2e-3 && mean <= 1e-4) {
		t.Errorf("%s: log-probabilities differ by %.2g; with GELU from a table by %.2g, on average %.2g", q.name, most, mostTable, mean)
	}
}

// checkText compares what other software makes of a text.
func checkText(t *testing.T, q question, text string, ids []int32, back string) {
	t.Helper()
	want, err := q.model.Tokenizer.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("%s: %q is %v there, %v to candor", q.name, text, ids, want)
	}
	if text := q.model.Tokenizer.Decode(want); back != text {
		t.Errorf("%s: %v comes back as %q, want %q", q.name, ids, back, text)
	}
}

// checkGreedy demands that llama.cpp goes on from a prompt as candor would: with the likeliest token each time, or with one
// that is as likely but for GELU's table.
func checkGreedy(t *testing.T, q question, prompt, got []int32) {
	t.Helper()
	if want := min(q.New, q.model.Model.Config.Context-len(prompt)+1); len(got) != want {
		t.Errorf("%s: after %v llama.cpp goes on with %v, want %d tokens", q.name, prompt, got, want)
	}
	logProbs := scored(t, q.model.Model, append(slices.Clone(prompt), got[:len(got)-1]...))
	for i, next := range got {
		last := logProbs[len(prompt)+i-1]
		if most := slices.Max(last); last[next] < most-0.02 {
			t.Errorf("%s: after %v and %v llama.cpp goes on with %d, candor with %d", q.name, prompt, got[:i], next, slices.Index(last, most))
			return
		}
	}
}

// questions returns, for each model, random sequences up to the whole context, and texts.
func questions(t *testing.T) (out []question) {
	t.Helper()
	models := exportable(t)
	for _, name := range slices.Sorted(maps.Keys(models)) {
		c, random := models[name], rng.New(1)
		q := question{name: name, model: c, New: 8}
		for _, n := range []int{1, 2, 7, c.Model.Config.Context - 8, c.Model.Config.Context} {
			ids := make([]int32, n)
			for i := range ids {
				ids[i] = int32(random.IntN(c.Model.Config.Vocab))
			}
			q.Sequences = append(q.Sequences, ids)
		}
		words := c.Tokenizer.Words()
		words = words[:len(words)-1]
		random.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		all := strings.Join(words, " ")
		q.Texts = []string{all, words[0], "  " + words[1] + "   " + words[2] + " ", all + " " + all,
			words[0] + " " + tokenizer.End, words[0] + " " + tokenizer.End + " " + words[1]}
		out = append(out, q)
	}
	return out
}

// transformers.js reads the tokenizer of an exported folder and gives candor's ids. (It runs models as ONNX only.)
func TestTransformersTokenizer(t *testing.T) {
	modules := nodeModules(t, "@huggingface/transformers")
	asked := questions(t)
	for i, q := range asked {
		asked[i].File = filepath.Join(t.TempDir(), "model")
		if err := checkpoint.ExportHF(asked[i].File, q.model); err != nil {
			t.Fatal(err)
		}
		asked[i].Texts = append(q.Texts, strings.ReplaceAll(q.Texts[0], " ", "\n"))
	}
	for i, got := range ask(t, asked, "tokenize.mjs", modules) {
		q := asked[i]
		for i, text := range q.Texts {
			checkText(t, q, text, got.IDs[i], got.Texts[i])
		}
		if end, _ := q.model.Tokenizer.ID(tokenizer.End); got.End != end {
			t.Errorf("%s: a text ends with %d there, with %d to candor", q.name, got.End, end)
		}
	}
}

// What matters to whoever runs an exported model: on problems of its own it goes on in llama.cpp with the same words, and with the
// same log-probabilities within a thousandth.
func TestLlamaCppContinuations(t *testing.T) {
	modules := nodeModules(t, "node-llama-cpp")
	shelf, err := embeddedShelf()
	if err != nil {
		t.Fatal(err)
	}
	var asked []question
	for _, name := range inside() {
		sys, err := shelf.open(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := exported(name)
		if err != nil {
			t.Fatal(err)
		}
		q := question{name: name, model: c, File: filepath.Join(t.TempDir(), "model.gguf"), New: 10, Texts: []string{}}
		if err := checkpoint.ExportGGUF(q.File, name, c); err != nil {
			t.Fatal(err)
		}
		src := rng.New(9)
		for range 12 {
			ids, err := c.Tokenizer.Encode(sys.world.Draw(&src, task.Test).Prompt())
			if err != nil {
				t.Fatal(err)
			}
			q.Sequences = append(q.Sequences, ids)
		}
		asked = append(asked, q)
	}
	begins := make([][]int, len(asked)) // where a continuation begins
	for i, got := range ask(t, asked, "llama.mjs", modules) {
		for j, prompt := range asked[i].Sequences {
			next := got.Greedy[j]
			if at := slices.IndexFunc(next, func(id int32) bool { return asked[i].model.Tokenizer.Word(id) == tokenizer.End }); at >= 0 {
				next = next[:at+1]
			}
			asked[i].Sequences[j] = append(slices.Clone(prompt), next...)
			begins[i] = append(begins[i], len(prompt))
		}
		asked[i].New = 1
	}
	for i, got := range ask(t, asked, "llama.mjs", modules) {
		q, most := asked[i], 0.0
		for j, ids := range q.Sequences {
			here := scored(t, q.model.Model, ids[:len(ids)-1])
			for pos := begins[i][j] - 1; pos < len(ids)-1; pos++ {
				next := ids[pos+1]
				if best := int32(slices.Index(here[pos], slices.Max(here[pos]))); best != next {
					t.Errorf("%s: after %v llama.cpp goes on with %d, candor with %d", q.name, ids[:pos+1], next, best)
				}
				most = max(most, math.Abs(logSoftmax(got.Logits[j][pos])[next]-here[pos][next]))
			}
		}
		t.Logf("%s: log-probabilities of its own words differ by at most %.2g", q.name, most)
		if most > 1e-3 {
			t.Errorf("%s: log-probabilities of its own words differ by %.2g", q.name, most)
		}
	}
}
