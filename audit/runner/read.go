package runner

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"candor/reasoning/llm"
	"candor/study/runlog"
)

// State is how a sample ended.
type State string

// How a sample ends. One that is neither has not ended.
const (
	Done   State = "done"
	Failed State = "failed"
)

// Entry is a sample that ended, as a run folder has it.
type Entry struct {
	// ID is the item's in the source, and Epoch counts from 0.
	ID     string
	Epoch  int
	State  State
	Sample runlog.Sample // a failed one says why in its field Failed
}

// Each calls visit for every sample of the run folder dir that ended, in the order of the source and then of the epochs. It
// holds one at a time. It needs no lock: during a run it gives the samples of one moment. The error of a folder without an
// audit wraps fs.ErrNotExist; visit's own is returned as it is.
func Each(dir string, visit func(Entry) error) error {
	return query(dir, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "SELECT id, epoch, state, body FROM samples WHERE seq >= 0 ORDER BY seq, epoch")
		if err != nil {
			return explain(dir, err)
		}
		return errors.Join(eachRow(dir, rows, visit), rows.Close())
	})
}

func eachRow(dir string, rows *sql.Rows, visit func(Entry) error) error {
	for rows.Next() {
		var e Entry
		var body sql.RawBytes
		if err := rows.Scan(&e.ID, &e.Epoch, &e.State, &body); err != nil {
			return explain(dir, err)
		}
		if err := unpackJSON(body, &e.Sample); err != nil {
			return explain(dir, fmt.Errorf("sample %s, epoch %d: the file is damaged: %w", e.ID, e.Epoch, err))
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return explain(dir, rows.Err())
}

// query opens a run folder's store for reading and closes it after f.
func query(dir string, f func(context.Context, *sql.DB) error) error {
	ctx := context.Background() // reading is bounded by what there is
	db, err := openReader(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, db), explain(dir, db.Close()))
}

// Counts are the figures of a run folder.
type Counts struct {
	// Total is how many samples the last run was to make, epochs included; Done and Failed are those of them that ended.
	Total, Done, Failed int
	// Calls and tokens are those of all runs in the folder.
	Calls, TokensIn, TokensOut int64
}

// Count returns the figures of the run folder dir without reading samples.
func Count(dir string) (c Counts, err error) {
	err = query(dir, func(ctx context.Context, db *sql.DB) error {
		c, err = counts(ctx, db)
		return explain(dir, err)
	})
	return c, err
}

func counts(ctx context.Context, db *sql.DB) (c Counts, err error) {
	err = db.QueryRowContext(ctx, `SELECT
		(SELECT value FROM totals WHERE name = 'samples'),
		(SELECT value FROM totals WHERE name = 'calls'),
		(SELECT value FROM totals WHERE name = 'tokens_in'),
		(SELECT value FROM totals WHERE name = 'tokens_out'),
		COUNT(*) FILTER (WHERE state = 'done'),
		COUNT(*) FILTER (WHERE state = 'failed')
		FROM samples WHERE seq >= 0`).Scan(&c.Total, &c.Calls, &c.TokensIn, &c.TokensOut, &c.Done, &c.Failed)
	return c, err
}

// Call is one call behind a sample.
type Call struct {
	// Name is the request's ID, and Model the name that the model was called by.
	Name, Model string
	Request     llm.Request
	Completion  llm.Completion
}

// CallsOf returns the calls behind a sample, by name: those that its work got an answer from, whoever asked first. The error
// of a sample that has not ended wraps fs.ErrNotExist.
func CallsOf(dir, id string, epoch int) (calls []Call, err error) {
	err = query(dir, func(ctx context.Context, db *sql.DB) error {
		calls, err = callsOf(ctx, db, id, epoch)
		return explain(dir, err)
	})
	return calls, err
}

func callsOf(ctx context.Context, db *sql.DB, id string, epoch int) ([]Call, error) {
	var blob []byte
	err := db.QueryRowContext(ctx, "SELECT calls FROM samples WHERE id = ? AND epoch = ?", id, epoch).Scan(&blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("there is no sample %s of epoch %d: %w", id, epoch, fs.ErrNotExist)
	}
	var used []use
	if err == nil {
		err = unpackJSON(blob, &used)
	}
	if err != nil {
		return nil, fmt.Errorf("sample %s, epoch %d: %w", id, epoch, err)
	}
	calls := make([]Call, 0, len(used))
	for _, u := range used {
		var request, completion []byte
		c := Call{Name: u.Name, Model: u.Model}
		err := db.QueryRowContext(ctx, "SELECT request, completion FROM calls WHERE key = ?", u.Key).Scan(&request, &completion)
		if err == nil {
			err = errors.Join(unpackJSON(request, &c.Request), unpackJSON(completion, &c.Completion))
		}
		if err != nil {
			return nil, fmt.Errorf("call %s behind sample %s: %w", u.Name, id, err)
		}
		c.Request.ID = u.Name
		calls = append(calls, c)
	}
	return calls, nil
}

// use is a call that a sample made.
type use struct {
	Name  string `json:"name"`
	Model string `json:"model"`
	Key   []byte `json:"key"`
}

func sortUses(used []use) {
	slices.SortFunc(used, func(a, b use) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Model, b.Model), slices.Compare(a.Key, b.Key))
	})
}

// Export writes the run folder's samples.jsonl, atomically: the done and the failed ones, in the order of the source. It
// returns how many there are.
func Export(folder *runlog.Folder) (n int, err error) {
	return folder.WriteSamples(func(write func(runlog.Sample) error) error {
		return Each(folder.Dir(), func(e Entry) error { return write(e.Sample) })
	})
}

// decode reads a completion that the store holds.
func decode(data []byte) (c llm.Completion, err error) {
	err = json.Unmarshal(data, &c)
	return c, err
}
