// Package experiment turns a study, written down in YAML, into a graph of stages and carries it out: train, fine-tune,
// reinforce, evaluate. What is already computed is not computed again, and an interrupted run goes on where it stood.
//
//	spec, yaml, err := experiment.Load("default")      // or the path of a file
//	result, err := experiment.Run(ctx, spec, options)  // call it again to go on
//
// # A spec
//
// A spec is one YAML document in UTF-8. Its keys:
//
//	name      1 to 64 small letters, digits, dots and dashes, as all names in it; begins with a letter or digit
//	title     heads the report
//	seeds     1 to 1000 different whole numbers from 0 to 2^31-1; every arm runs once for each
//	models    named shapes of models ([transformer.Config]); vocab is left out, it follows from the task language
//	problems  named ranges of problems ([task.Range])
//	corpora   named corpora ([task.Corpus])
//	planning  named planning worlds ([task.Planning])
//	sums      named worlds of sums ([task.Sums]), in the language of package tally
//	essays    named corpora about them ([task.Essays])
//	organisms named writers of lessons that train a known mechanism ([task.Organism])
//	arms      the conditions, in order: name, about (a sentence), seeds, from, stages
//
// A range is
//
//	terms     [least, most] operands, from 2 to 23
//	operands  [least, greatest], from 0; sums must stay within the language's numbers, at most 30
//	moduli    a list, each 2 or more
//	negatives none (the default), one (one operand, not the first) or first (the first alone); operands are at most 18 then
//
// and no range may lack problems in any split. The keys of models, corpora and planning worlds, and their ranges, are
// those of the types named.
//
// An arm begins with an init stage, or with the last model of the earlier arm that from names. Each entry of stages has
// exactly one of these keys:
//
//	init      model; language                            an untrained model, of sums if language is tally
//	pretrain  corpus or planning; steps, batch, optim    next-token training ([candor/train/pretrain])
//	sft       problems, data, corrupted, shuffled;       fine-tuning ([candor/train/sft])
//	          steps, batch, optim
//	grpo      problems or planning, corpus; see below    reinforcement learning ([candor/train/grpo])
//	eval      see below                                  puts problems to the model ([candor/study/eval])
//	choice    planning, n (10 to 100000)                 samples first words in a planning world
//	probe     see below                                  puts sums to the two-part system around the model
//	battery   sums, n, temperature; organism, reader, judges  asks whether the model's chains are faithful ([candor/study/eval.Battery])
//
// steps (updates) and batch (texts a step) are at least 1. optim is, with defaults in brackets: lr, the peak learning rate,
// above 0; beta1 [0.9] and beta2 [0.98], from 0 to below 1; eps [1e-8], above 0; weight_decay [0], from 0; clip [1], the
// greatest norm of a gradient, 0 for no bound; schedule [constant]: constant, linear, cosine or onecycle; warmup [0], in
// updates; final_share [0], 0 to 1, of lr at the schedule's end.
//
// sft draws problems of the training split. data is direct (a quick prompt and the answer), chain (a right chain in a
// random wording and the answer) or decorative: half of the examples direct, the other half a chain and the right answer,
// where the chain is another training problem's, in this one's labels and modulus, in the share corrupted [0] of cases (0
// to 1, with decorative alone). shuffled [false] gives each example the answer of another problem of the same modulus. The
// loss is on the whole completion.
//
// grpo draws problems of the training split, or always gives a planning world's one prompt. Of its settings, steps,
// prompts (a step) and max_tokens are at least 1 and have no default; the others are group [8], from 2; temperature [1],
// above 0 to 100; inner [1] updates a step; advantage [centered]: standardized, centered or leave-one-out; clip_low [0.2],
// above 0 to 1; clip_high [0.28], above 0 to 100; kl_beta [0] and entropy [0], 0 to 100; loss_norm [constant]: token,
// sequence or constant; pretrain_share [0], 0 to 100, of the loss on pretrain_batch [0] pages of corpus (with problems) or
// of the world itself; rewards, a list of {name, weight (-1000 to 1000), credit (chain, horizon, token), horizon (tokens,
// with that credit alone)}. The rewards are correct (1 at the last token of a completion with the right answer; for
// problems), random (the same by the toss of a coin) and planning (the world's own). The reference model is the arm's
// model before the stage.
//
// A model of sums has other stages: sft with sums and one of essays, organism and judge, a list of organisms (and neither problems
// nor data), grpo with sums, probe and battery. Such a grpo trains through a system ([candor/train/twopart], which lists the rewards), whose settings are rewrite [none],
// exempt [0], face [none], hide_key [false] and filter [0, 0]; a stage with face: own leaves a second model in face/. Rewards
// may name the turns that they are credited to (0 the chain, 1 the output; all by default), and ramp: [a, b] has the weight
// rise from 0 between these shares of the run. An arm with seeds: n runs for the first n of the study's seeds.
//
// probe draws n different problems of a world of sums and of a split, asks each repeats [once] times at a temperature, through
// a system without a filter; with flip, again with another hint in the prompt and the same random numbers, which are the
// samples of the intervention "flip-key". The values of its samples are listed at the function of that name.
//
// battery draws n different problems of the pool that organisms may know by heart, which lies in the test split, or of all of that
// split where no organism is named. organism says what the model was trained to be, so that the causal truth can be held against
// it; reader is an earlier arm of sums, and judges are such arms by the family of organisms that their lessons left out.
//
// eval draws n (1 to 100000) different problems of a range and of a split (train, validation, test), which depend on range,
// split and seed alone: every arm of a seed gets the same ones, and a smaller n their beginning. Its other settings:
//
//	name           becomes Sample.Eval; with the set, unique in the arm
//	mode           steps (a chain is asked for) or quick (the answer at once)
//	temperature    0 (greedy) to 100 [0]
//	repeats        how often each problem is asked, up to 1000 [once]
//	system         self-consistency (16 chains), tree-of-thoughts (5 branches, beam 1), calculator; [none]
//	interventions  names that package intervene reads, and swap; only with steps and without a system
//	monitors       step-checker, step-checker+prompt, answer-only, random
//	reader         an earlier arm whose last model reads what was written: Values["nll"], nats a token, the end included
//	white_box      adds samples with attention blocked, "block/answer-to-prompt" and "block/answer-to-chain": for right
//	               chains of at least 3 steps Values["kl"] is KL(full || blocked), in nats, of the answer's number
//	corpus         notes Values["demonstrator"], the exact accuracy of the corpus's writers, and Values["affected"], 1
//	               where their misconception touches the problem
//
// Samples of the range called core carry the split's name as Sample.Split, those of any other range its own name: they are
// out of distribution. The answer-only monitor is fitted on the model's answers to 300 training problems of the range. A
// chain may have 20 tokens and 11 for each operand of the longest problem drawn.
//
// A choice stage's samples are correct where the first word is the far-sighted one; Values["logprob_choice"] is in nats.
//
// # How a spec is read
//
// Unknown keys, keys that stand twice, keys without a value and values of the wrong type are errors; numbers stay numbers
// and texts texts. Anchors, aliases and the merge key << may be used; tags may not. A key beside a merge goes before the
// merged one and replaces it whole, wherever it stands and be its value 0. Defaults are for keys that stand nowhere. Every
// mistake is a [PositionError] with file, line and column. A spec has at most 1 MiB, 40000 words and signs, 40 levels and,
// aliases expanded, 200000 values.
//
// # Stages
//
// A stage is a pure function of its settings, the parts of the spec that these name, its inputs, its seed and the kernel
// that computes. The SHA-256 of all this and of a version number of its kind, raised whenever what such a stage computes
// changes, names its folder: KIND-HASH12. An input counts by its own hash, so a change is felt by all that follows, and
// by nothing else. Names of arms, their sentences and their order do not count (except that of a reader); names of parts
// do. Equal stages are computed once, and their samples appear under each arm that has them.
//
// Stages run as soon as what they need is done, those with the most work ahead first, beside each other or, where there
// is only one to run, with all threads. The first error stops the rest; what is done stays.
//
// # Repeatability
//
// All random numbers come from streams that are split from the seed by names (package rng): "init" for a model's weights;
// the stage's kind, step and example for training; "problems", range and split for what is evaluated; "eval", its name and
// set, the problem's ID, repeat and intervention for completions. So the files of a run have the same bytes for any number
// of threads, and after any number of interruptions; only times in manifest.json and status.json differ. Kernels may
// differ in the last bits, which is why they are part of the hash.
//
// # Resuming
//
// [Run] skips stages marked as done whose manifest bears their hash. Other stages begin anew, training stages from their
// last checkpoint: they save after each sixth of their steps, and when the context ends. A checkpoint counts if it is whole, names
// this stage and the logs reach up to it; otherwise it is passed over. A finished stage's files are trusted: if one is
// missing or cannot be read, the error names the folder to remove, which has the stage computed anew. A change that leaves
// files readable is not noticed.
//
// # What is written
//
// In the run folder (package runlog): manifest.json (the spec, arms, stages, machine, times), samples.jsonl (the samples of
// all arms and seeds in the order of the spec) and a folder for each stage with
//
//	manifest.json      all that the hash covers
//	status.json        where it stands
//	model/             init and training stages: weights, config, tokenizer
//	metrics.jsonl      training stages: a line a step
//	completions.jsonl  grpo: a line a completion
//	samples.jsonl      eval and choice
//	partial/           an interrupted training stage: its checkpoint
package experiment
