// Package runner runs an audit: it puts every item of a source to the models, keeps what comes back, and can be stopped at
// any moment.
//
//	folder, err := runlog.Open(dir, clock, "candor audit")
//	progress, err := runner.Run(ctx, runner.Options{Folder: folder, Models: models}, source, work)
//	n, err := runner.Export(folder)
//
// [Run] takes the items in the order of the source. What is done with one item is the caller's [Work]: it makes calls
// through [Calls] and returns one [runlog.Sample]. Everything lands in one SQLite file, audit.db in the run folder.
//
// # What can be relied on
//
//   - A sample ends once: done, or failed with the reason. A failed one has no answer, so nothing counts it as a wrong one.
//     The next Run on the folder tries the failed ones again and leaves the done ones alone.
//   - A sample counts as finished, and a call returns to its work, only after the transaction with it has been committed
//     and synced (WAL, synchronous=FULL). kill -9 loses what was under way at that moment and nothing else. A power cut loses
//     no more than that where the disk keeps its promise about fsync; where it does not, the last transactions may be gone,
//     and the file is still whole. One writer commits whatever is queued as one transaction, so many calls share one sync.
//   - A call is asked once. The store is a cache: its key is the model's identity and the whole request less its ID, and for
//     a remote model the epoch, since an epoch is there to see whether the model says the same again. Equal calls that are
//     under way at the same moment are one call. Text that is not UTF-8 is keyed, kept and handed on as JSON has it.
//   - Results do not depend on concurrency, order, batches or interruptions, as far as the models' answers do not.
//   - Memory does not grow with the number of samples but for some 50 bytes each. Nothing but the index of the samples is
//     read when a run goes on.
//   - One process writes the folder: Options takes the [runlog.Folder] whose lock the caller holds. Readers ([Each],
//     [Count], [CallsOf]) need no lock and may read while a run goes on.
//   - A folder holds the samples of one set of models and settings. Others are refused, so that the samples of two models
//     never mix. A source may grow or shrink: samples that it no longer names are kept, but do not count.
//
// # How calls are made
//
// A remote model gets one request a call, and as many calls at once as it bears: [Options.Connections], or a limit that
// starts at 20, moves between 10 and 100, rises by one for each limit's worth of answers while it is in use, and is halved
// when the server says that it is overloaded, once for each burst (additive increase, multiplicative decrease; Chiu and
// Jain 1989). No call starts while the server has asked to wait. A local model gets what has queued up while it was busy, at
// most 256 requests, as one batch.
//
// An [*llm.TransientError], or no answer in time, is tried again after an exponentially growing delay with jitter, and not
// before the time that the server named: 8 times, or 100 times where the server was overloaded, which says nothing about
// the request. Any other error is final for the call.
//
// A token budget is checked before every call. Once it is spent nothing more is asked; calls under way end and are kept, so
// it can be overrun by those. The run then returns [ErrBudget], and goes on where it stood with a larger one.
//
// After 100 failed samples in a row without one that is done the run gives up ([ErrGivenUp]): a wrong key or a dead server
// should not cost the night.
package runner
