package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

	"candor/reasoning/cot"
	"candor/reasoning/intervene"
	"candor/reasoning/llm"
	"candor/reasoning/monitor"
	"candor/reasoning/task"
)

type chatCmd struct {
	Problems []string `arg:"" optional:"" help:"Problems to put at once; without any they are read from standard input."`
	Model    string   `help:"A run folder, RUN:ARM, RUN:ARM:SEED or a checkpoint folder; the default is the model inside this program." placeholder:"RUN"`
}

// Help is shown by candor chat --help.
func (chatCmd) Help() string {
	return `Examples:
  candor chat                          type problems such as 8 + 5 + 3 mod 7
  candor chat "8 + 5 + 3 mod 7"        one problem
  candor chat --model runs/default     the reasoner that a run trained

:mistake 2 9 makes the total of step 2 of the last chain 9 and lets the model go on; :quit ends.`
}

// chat is a conversation: the model and the last problem with its chain.
type chat struct {
	w       *world
	r       *reasoner
	problem task.Problem
	trace   cot.Trace
	asked   bool
}

// chatTokens is the most that the model may write for one chain.
const chatTokens = 150

// Run puts problems to the model and shows its chain of thought, step by step, and its answer.
func (c *chatCmd) Run(ctx context.Context, w *world) error {
	r, err := loadReasoner(c.Model)
	if err != nil {
		return err
	}
	talk := &chat{w: w, r: r}
	if len(c.Problems) > 0 {
		for _, p := range c.Problems {
			if err := talk.line(ctx, p); err != nil {
				return usageError{err}
			}
		}
		return nil
	}
	fmt.Fprintf(w.stderr, "A tiny reasoner (%s). Type a problem such as 8 + 5 + 3 mod 7, :mistake 2 9, or :quit.\n", r.about)
	in := bufio.NewScanner(w.stdin)
	for fmt.Fprint(w.stderr, "> "); in.Scan() && ctx.Err() == nil; fmt.Fprint(w.stderr, "> ") {
		line := strings.TrimSpace(in.Text())
		if line == ":quit" {
			return nil
		}
		if line == "" {
			continue
		}
		if err := talk.line(ctx, line); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintln(w.stderr, err)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return in.Err()
}

func (c *chat) line(ctx context.Context, line string) error {
	if strings.HasPrefix(line, ":") {
		return c.mistake(ctx, line)
	}
	p, err := task.ParseProblem(line)
	if err != nil {
		return err
	}
	c.problem, c.asked = p, true
	if odd := c.r.unlike(p); odd != "" {
		fmt.Fprintf(c.w.stderr, "(never trained on: %s; it knows %s)\n", odd, c.r.training())
	}
	return c.write(ctx, "")
}

// mistake edits a step of the last chain and lets the model go on.
func (c *chat) mistake(ctx context.Context, line string) error {
	words := strings.Fields(line)
	if words[0] != ":mistake" || len(words) != 3 {
		return fmt.Errorf("%s is no command; there are :mistake STEP TOTAL and :quit", line)
	}
	step, err1 := strconv.Atoi(words[1])
	total, err2 := strconv.Atoi(words[2])
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%s: step and total must be numbers, as in :mistake 2 9", line)
	}
	if !c.asked {
		return fmt.Errorf("there is no chain to edit yet: put a problem first")
	}
	edit, err := intervene.SetTotal(c.trace, step, total)
	if err != nil {
		return err
	}
	before := c.trace
	if err := c.write(ctx, edit.Prefix); err != nil {
		return err
	}
	if before.Parsed && c.trace.Parsed {
		fmt.Fprintf(c.w.stdout, "before the edit: %d\n", before.Answer)
	}
	return nil
}

// write lets the model go on from prefix and prints each step as soon as the model has written it.
func (c *chat) write(ctx context.Context, prefix string) error {
	text, shown := prefix, 0
	for range chatTokens {
		out, err := c.r.gen.Generate(ctx, []llm.Request{{Messages: []llm.Message{{Role: llm.User, Text: c.problem.Prompt(task.Steps)}}, Prefix: text, MaxTokens: 1}})
		if err != nil {
			return err
		}
		text += out[0].Text
		trace := c.problem.Read(text)
		for ; shown < len(trace.Steps); shown++ {
			s := trace.Steps[shown]
			fmt.Fprintf(c.w.stdout, "  %d  %s\n", shown+1, strings.TrimSpace(text[s.Start:s.End]))
		}
		if out[0].Text == "" || out[0].Finish == llm.FinishStop {
			break
		}
	}
	c.trace = c.problem.Read(text)
	if !c.trace.Parsed {
		fmt.Fprintf(c.w.stdout, "no answer can be read (%s): %s\n", c.trace.Reason, text)
		return nil
	}
	right := "right"
	if task.Check(c.problem, c.trace) != task.Correct {
		right = fmt.Sprintf("wrong, it is %d", c.problem.Answer())
	}
	suspicion := monitor.StepChecker{}.Score(monitor.View{Chain: text, Answer: strconv.Itoa(c.trace.Answer)})
	fmt.Fprintf(c.w.stdout, "answer %d (%s; step checker's suspicion %.2f)\n", c.trace.Answer, right, suspicion)
	return nil
}
