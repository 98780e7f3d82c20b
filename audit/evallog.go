package audit

import (
	"fmt"
	"runtime"
	"strings"

	"candor/audit/evidence"
	"candor/audit/inspect"
	"candor/audit/runner"
	"candor/reasoning/llm"
	"candor/study/runlog"
)

// writeLog writes log.eval, for those who look at evaluations with Inspect.
func writeLog(folder *runlog.Folder, m Manifest, e *evidence.Evidence) (err error) {
	commit, dirty := strings.CutSuffix(m.Machine.Commit, " with changes")
	log := inspect.Log{
		Task: "candor/audit", TaskVersion: "1", Model: m.Model.Name, BaseURL: m.Model.BaseURL, RunID: runID(m), Created: m.Started,
		Args:     map[string]any{"suites": m.Suites, "judges": m.Judges, "reader": m.Reader, "writer": m.Writer, "tests": m.Battery},
		Config:   inspect.Config{Temperature: m.Battery.Temperature, TopP: m.Battery.TopP, MaxTokens: m.Battery.MaxTokens, Seed: int64(m.Battery.Seed), Epochs: m.Epochs},
		Dataset:  inspect.Dataset{Name: strings.Join(m.Suites, ", "), Samples: e.Counts.Samples / max(1, m.Epochs)},
		Steps:    []inspect.Step{{Solver: "candor/battery", Params: map[string]any{"continues": m.Abilities.Continues}}},
		Packages: map[string]string{"candor": e.Candor, "go": runtime.Version()}, Tags: []string{"chain-of-thought", "faithfulness"},
	}
	if commit != "" && commit != "unknown" {
		log.Revision = inspect.Revision{Commit: commit, Dirty: dirty}
	}
	w, err := inspect.Create(folder.Path("log.eval"), log)
	if err != nil {
		return err
	}
	defer w.Abort()
	usage := inspect.Usage{}
	err = runner.Each(folder.Dir(), func(x runner.Entry) error {
		s := inspectSample(m, x)
		usage.Output += s.Output.Usage.Output
		return w.Sample(s)
	})
	if err != nil {
		return fmt.Errorf("writing the log for Inspect: %w", err)
	}
	end := inspect.Result{
		Status: inspect.StatusSuccess, Started: m.Started, Completed: e.Ended, Scores: scores(e), Usage: map[string]inspect.Usage{m.Model.Name: usage},
		Metadata: map[string]any{"untested": e.Untested, "distance": e.Distance},
	}
	if !e.Complete {
		end.Status = inspect.StatusCancelled
	}
	return w.Close(end)
}

// runID is the same for the same run, and other for another.
func runID(m Manifest) string {
	id, err := runlog.Hash(struct {
		M any
		T string
	}{m.Model, m.Started.String()})
	if err != nil {
		return m.Started.Format("20060102150405")
	}
	return id[:22]
}

func inspectSample(m Manifest, x runner.Entry) inspect.Sample {
	s := x.Sample
	input := []inspect.Message{}
	if m.Battery.System != "" {
		input = append(input, inspect.Message{Role: "system", Text: m.Battery.System})
	}
	input = append(input, inspect.Message{Role: "user", Text: s.Prompt})
	out := inspect.Sample{
		ID: s.ID, Epoch: x.Epoch + 1, Input: input, Messages: input, Target: s.Target, Error: s.Failed,
		Metadata: map[string]any{"suite": s.Eval, "kind": s.Split, "cluster": s.Cluster, "provenance": s.Provenance, "hint": s.Follows, "plain_answer": s.Original, "notes": s.Notes},
		Scores:   map[string]inspect.Score{},
	}
	if x.State == runner.Failed {
		return out
	}
	answer := answerMessage(m, s)
	out.Messages = append(out.Messages[:len(input):len(input)], answer)
	out.Output = inspect.Output{Message: &answer, StopReason: "stop", Usage: inspect.Usage{Output: int(s.Values["tokens"])}}
	out.Usage = map[string]inspect.Usage{m.Model.Name: out.Output.Usage}
	if !s.Parsed {
		out.Output.StopReason = "unknown"
	}
	if s.Target != "" {
		correct := inspect.Score{Text: "I", Answer: s.Answer}
		switch {
		case !s.Parsed:
			correct = inspect.Score{Text: "N", Explanation: s.Notes["answer"]}
		case s.Correct:
			correct.Text = "C"
		}
		out.Scores["correct"] = correct
	}
	for name, value := range s.Values {
		if strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "cue/") || strings.HasPrefix(name, "nochain/") || strings.HasPrefix(name, "judge/") {
			out.Scores[name] = inspect.Score{Value: value, Answer: s.Answer}
		}
	}
	return out
}

// answerMessage is the model's turn. A chain that was part of the text stays there.
func answerMessage(m Manifest, s runlog.Sample) inspect.Message {
	if !m.Abilities.Apart {
		return inspect.Message{Role: "assistant", Text: strings.TrimSpace(s.Chain + "\n" + s.Cue)}
	}
	out := inspect.Message{Role: "assistant", Text: s.Cue}
	switch llm.Provenance(s.Provenance) {
	case llm.Raw, llm.Leaked:
		out.Reasoning = &inspect.Reasoning{Text: s.Chain}
	case llm.Summary:
		out.Reasoning = &inspect.Reasoning{Summary: s.Chain, Redacted: true}
	case llm.Encrypted:
		out.Reasoning = &inspect.Reasoning{Redacted: true}
	}
	return out
}

// scores are the measures that are means of a value of the samples.
func scores(e *evidence.Evidence) []inspect.ScoreSummary {
	var out []inspect.ScoreSummary
	for _, m := range e.Measures {
		s := inspect.ScoreSummary{Name: m.ID, Scorer: m.ID, Metrics: map[string]float64{}, Metadata: map[string]any{"title": m.Title, "group": m.Group, "note": m.Note}, Scored: m.N}
		if len(m.From) > 0 {
			s.Scorer = m.From[0]
		}
		if m.Value != nil {
			s.Metrics["estimate"], s.Metrics["ci_low"], s.Metrics["ci_high"] = *m.Value, *m.Lo, *m.Hi
		}
		out = append(out, s)
	}
	return out
}
