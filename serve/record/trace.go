package record

import (
	"encoding/json"
	"fmt"
	"time"

	"candor/reasoning/llm"
	"candor/serve/ledger"
)

// Summary is a trace in one line.
type Summary struct {
	ID      string        `json:"id"`
	Seq     int64         `json:"seq"` // of its begin
	Began   time.Time     `json:"began"`
	Begin   Begin         `json:"begin"`
	Outcome Outcome       `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
	Took    time.Duration `json:"took_ns"`
	// Flagged names the gates of the last try that did not pass it.
	Flagged []string `json:"flagged,omitempty"`
	// Prompt is the beginning of the last message, for a list.
	Prompt string `json:"prompt"`
}

// Trace is everything that the ledger holds of one answer.
type Trace struct {
	Summary
	Messages []llm.Message
	Stages   []StageOf
	End      *End
	Answer   *Answer
	Review   *Review
	// Reviewed is when a person decided, and ReviewSeq the number of that entry. Of several decisions the first counts.
	Reviewed  time.Time
	ReviewSeq int64
	// Redacted names the contents that were deleted.
	Redacted []string
	// Entries are the numbers and hashes that stand for it in the ledger.
	Entries []ledger.Receipt
}

// StageOf is a stage with its texts; Try and Action are nil where there is none, or it was redacted.
type StageOf struct {
	Stage
	At     time.Time
	Try    *Try
	Action *Action
}

// Read puts a trace together from its entries, which are in order and have their contents.
func Read(entries []ledger.Entry) (*Trace, error) {
	if len(entries) == 0 || entries[0].Kind != ledger.KindBegin {
		return nil, fmt.Errorf("reading a trace: it has no entry of kind %s", ledger.KindBegin)
	}
	t := &Trace{}
	t.ID, t.Seq, t.Began, t.Outcome = entries[0].Trace, entries[0].Seq, entries[0].Time, Open
	for i := range entries {
		e := &entries[i]
		t.Entries = append(t.Entries, ledger.Receipt{Seq: e.Seq, Time: e.Time, Hash: e.Hash})
		for _, c := range e.Contents {
			if c.Redacted() {
				t.Redacted = append(t.Redacted, c.Name)
			}
		}
		if err := t.add(e); err != nil {
			return nil, fmt.Errorf("reading trace %s, entry %d: %w", t.ID, e.Seq, err)
		}
	}
	return t, nil
}

// add takes in one entry. Kinds that it does not know say nothing here.
func (t *Trace) add(e *ledger.Entry) error {
	switch e.Kind {
	case ledger.KindBegin:
		if err := json.Unmarshal(e.Body, &t.Begin); err != nil {
			return err
		}
		if err := content(e, ContentPrompt, &t.Messages); err != nil {
			return err
		}
		if n := len(t.Messages); n > 0 {
			t.Prompt = Excerpt(t.Messages[n-1].Text)
		}
	case ledger.KindStage:
		s := StageOf{At: e.Time}
		if err := json.Unmarshal(e.Body, &s.Stage); err != nil {
			return err
		}
		if err := content(e, ContentTry, &s.Try); err != nil {
			return err
		}
		if err := content(e, ContentAction, &s.Action); err != nil {
			return err
		}
		t.Stages = append(t.Stages, s)
		if len(s.Verdicts) > 0 {
			t.Flagged = Flagged(s.Verdicts)
		}
	case ledger.KindEnd:
		t.End = new(End)
		if err := json.Unmarshal(e.Body, t.End); err != nil {
			return err
		}
		t.Outcome, t.Reason, t.Took = t.End.Outcome, t.End.Reason, t.End.Took
		return content(e, ContentAnswer, &t.Answer)
	case ledger.KindAbandoned:
		t.Outcome = Dropped
		var why struct{ Why string }
		err := json.Unmarshal(e.Body, &why)
		t.Reason = why.Why
		return err
	case ledger.KindReview:
		if t.Review != nil {
			return nil
		}
		t.Review, t.Reviewed, t.ReviewSeq = new(Review), e.Time, e.Seq
		if err := json.Unmarshal(e.Body, t.Review); err != nil {
			return err
		}
		t.Outcome = Rejected
		if t.Review.Approve {
			t.Outcome = Approved
		}
	}
	return nil
}

// content reads a content of an entry, if it is there.
func content(e *ledger.Entry, name string, into any) error {
	for i := range e.Contents {
		if c := &e.Contents[i]; c.Name == name && !c.Redacted() {
			return json.Unmarshal(c.Data, into)
		}
	}
	return nil
}
