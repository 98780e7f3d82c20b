// Package metric turns measurements into estimates that say how sure they are.
//
// Every function is pure: the same numbers in the same order give the same bits. What is resampled uses streams fixed in
// this package. An [Estimate] carries its 95% interval, how many observations and seeds stand behind it, and a note; where
// there is too little to say anything it is not reportable (OK false, all numbers NaN), never 0.
//
// # What is clustered in what
//
// A study trains each arm several times (seeds) and asks every trained model the same problems, perhaps more than once.
// So observations come as [][]Observation: one slice a seed, each observation naming its problem as Cluster. The value is
// the mean of the seeds' means; the seed is the unit of replication. Two things vary, and an interval over seeds alone
// would forget the second: which weights training ended in, and which problems happened to be in the test. With three
// seeds that all score .97 on the same hundred problems the first vanishes and the second does not.
//
// The variance is therefore split as in two-way clustering (Cameron, Gelbach and Miller 2011): Vseed between the seeds'
// means, Vproblem of the mean when problems are resampled (each problem's deviations summed over seeds, so that a problem
// that is hard for all seeds counts as one), and Vboth, the part that both contain. With k seeds and C problems
//
//	half width² = t(k-1)² Vseed + t(C-1)² max(0, Vproblem - Vboth)
//
// and the interval is never narrower than the one from problems alone (Wilson's for shares, Agresti and Min's for
// differences of shares, the clustered standard error otherwise). With one seed only the latter is left, and the note
// says so: it speaks about that model, not about the method that trained it.
//
// Known faults: bits take repeats of a problem for independent pairs, which biases them up by about .01 at 70 problems asked 6
// times; with two seeds Student's t is 12.7 and the interval tells little; the interval for k seeds supposes that
// the seeds' means are about normal, which seeds that sometimes collapse are not; nothing here corrects for looking at
// many estimates.
package metric
