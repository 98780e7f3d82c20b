// Package runlog keeps run folders: what a study writes, and all that claims and reports are computed from.
//
//	RUN/
//	  lock, holder.json      the process that writes here, while it does
//	  manifest.json          the run: study, spec, seeds, machine, when it began ([RunManifest])
//	  samples.jsonl          the samples of all stages, in plan order ([Folder.MergeSamples])
//	  stages/NAME-HASH12/    one folder a stage, named by what it computes
//	    manifest.json        settings, inputs, seed, version, machine ([Manifest])
//	    status.json          pending, running, done, failed or cancelled, with times and the reason ([Status])
//	    metrics.jsonl        one line a training step, {"step":3,"loss":1.5,...}
//	    samples.jsonl        one [Sample] a line
//	    model/               whatever the engine saves
//
// # What can be relied on
//
//   - One process writes a run folder. [Open] takes a lock that the system drops when the process ends in any way; a
//     second process gets a [*HeldError] that names the first.
//   - JSON files are replaced atomically: a temporary file, fsync, rename, fsync of the folder.
//   - "done" is written only after every file of the stage has been synced. A done stage is complete; any other is redone
//     or resumed, and what a kill left half written in it is expected: a torn last line is reported and left out. In a
//     done stage a torn line is an error.
//   - A full disk is an error that wraps syscall.ENOSPC and says which folder needs room. The stage can still be marked
//     failed then: status.json is a file of fixed size, allocated when the stage is made and rewritten in place.
//   - No file but status.json and the run's manifest.json holds a time, so equal runs have equal samples and metrics, bit
//     for bit.
//
// Lines are at most [MaxLine] bytes, and errors in them name file and line. Clocks are passed in.
package runlog
