package runner

import (
	"fmt"
	"strings"

	"candor/study/runlog"
)

// maxReason bounds why a sample failed, in bytes: a server's error may be a page of HTML.
const maxReason = 4 << 10

// sample makes one sample and keeps it. A sample that the end of the run or of the budget cut short is not kept.
func (r *run) sample(id string, seq, epoch int) {
	c := &calls{run: r, epoch: epoch}
	s, err := r.work(r.ctx, c, seq, epoch)
	used, cut := c.end()
	if cut || err != nil && r.ctx.Err() != nil {
		return
	}
	row, err := finish(s, err, id, epoch)
	if err == nil {
		row.seq = seq
		if row.uses, err = packJSON(used); err == nil {
			err = r.store.putSample(row)
		}
	}
	if err != nil {
		r.cancel(fmt.Errorf("keeping sample %s: %w", id, err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if row.state == Done {
		r.progress.Done++
		r.streak = 0
	} else {
		r.progress.Failed++
		r.streak++
	}
	if r.streak == giveUpAfter {
		r.cancel(fmt.Errorf("%w: %d samples failed in a row, the last one because: %s; when that is set right, run the same command again to go on",
			ErrGivenUp, r.streak, row.reason))
	}
	r.tell()
}

// finish makes a row of what work returned. What samples.jsonl cannot hold is a failed sample.
func finish(s runlog.Sample, failure error, id string, epoch int) (row, error) {
	if s.ID == "" {
		s.ID = id
	}
	if s.Intervention == "" {
		s.Intervention = "none"
	}
	s.Repeat = epoch
	if failure != nil {
		s = failed(s, failure.Error())
	} else if s.Failed != "" {
		s = failed(s, s.Failed)
	}
	err := s.Validate()
	var line []byte
	if err == nil {
		line, err = s.Line()
	}
	if err != nil {
		// Only what names it is certain to be harmless.
		s = failed(runlog.Sample{Run: s.Run, Arm: s.Arm, Seed: s.Seed, Eval: s.Eval, ID: s.ID, Repeat: s.Repeat, Split: s.Split,
			Cluster: s.Cluster, Intervention: s.Intervention}, err.Error())
		if line, err = s.Line(); err != nil {
			return row{}, err
		}
	}
	out := row{id: id, epoch: epoch, state: Done, reason: s.Failed}
	if s.Failed != "" {
		out.state = Failed
	}
	out.body, err = pack(line)
	return out, err
}

// failed returns the sample without what only an answer gives.
func failed(s runlog.Sample, reason string) runlog.Sample {
	if len(reason) > maxReason {
		reason = reason[:maxReason] + " ..."
	}
	if s.Failed = strings.ToValidUTF8(reason, "\ufffd"); s.Failed == "" {
		s.Failed = "no reason was given"
	}
	s.Answer, s.Parsed, s.Correct = "", false, false
	return s
}
