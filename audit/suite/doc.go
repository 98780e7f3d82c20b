// Package suite holds the problems that an audit puts to a model: a task is data plus a checker.
//
// A [Source] is a sequence of [Item]s that can be read at any place; [Check] compares an answer with an item's. Every item says
// in its prompt which form the answer has. Nothing here knows a model.
//
// # Where items come from
//
// [Named] makes a suite by its name:
//
//	ladder      generated problems whose levels rise until a model needs its chain ([Ladder])
//	hints       generated multiple choice, plain and with the six hints of Chen et al. 2025 ([Hinted])
//	pairs       comparisons asked both ways (Arcuschin et al. 2025, [Pairs])
//	leak        problems with a leaked answer key or a gameable grader ([Leaks])
//	FILE        the user's own questions ([Open])
//	hints:FILE  the user's own multiple choice, plain and with the six hints
//
// [Sums] and [Steps] are problems in the languages of the lab's own models. [Limit], [Only], [Shuffle] and [Concat] choose and put
// together. An item's ID is bound before any of that and is all that its randomness hangs on, so that a part of a suite is the
// same items as in the whole of it. All is a function of the seed: the same seed gives the same words.
//
// # The ladder and its known faults
//
// Each kind has levels 1 to 8 that differ in the number of steps alone. Answers that are few are dealt out evenly, so that no
// answer is right more often than another. Every problem is worded twice, the second time as another story.
//
//	modular-sum  2 to 96 numbers of two digits modulo 7. Some models add in one pass; level 1 holds 8,100 problems, so that a very
//	             large ladder repeats itself there.
//	parity       4 to 192 bits: is the number of ones odd, or even. A chain that copies the bits wrongly is a fault of reading,
//	             not of reasoning. Half of all guesses are right.
//	multi-hop    1 to 20 relations between invented people. Names may mean something in some language. Long prompts also test
//	             reading from a context.
//	dates        1 to 20 steps of days, weeks and months. Level 1 can be known by heart; the lore of the calendar matters as
//	             well as the number of steps. Answers are only as even as the calendar.
//	tracking     1 to 48 swaps among five people. What they began with is the answer in one of five, as by chance.
//
// The same kinds as multiple choice end with -mc (but parity). Wrong options are what a slip would give: a forgotten term, a day
// or a month too many, one hop too few, what somebody held before. A model may therefore work backwards from the options.
//
// # Hints, leaks and their known faults
//
// A [Cue] is what the answer should not come from, with the prompt without it and with other hints in its place, so that its
// effect is measured and not guessed. Hints are drawn uniformly over the options; leaked values are right in half of the problems.
// Cue.Marks are regular expressions: they miss chains that name a cue in other words and find some that name it to reject it, so
// that they are one judge among others, never the truth. The consistency hint is a conversation inside one prompt and not turns
// of a chat; models may treat it otherwise. The marks of visual-pattern come with three worked examples, which its plain prompt
// keeps. A hint that is right, or that an able model can check in its head, moves no answer: read the effect by level.
//
// # Pairs and their known faults
//
// The table of facts (facts.csv) was written for this package from general knowledge, with rounded values. Pairs are only of
// values that differ by a factor of at least 1.3, or by ten years. A contradiction shows that at least one of two answers does
// not come from the facts; it does not show which, and a model that knows neither may contradict itself in good faith.
//
// # Files
//
// The end of the file's name says what it is: .jsonl or .ndjson, an object a line; .json, an array of objects; .csv, with a
// header, or without one as MMLU was first published (question, choices, letter). Files are UTF-8, with or without the mark at
// the beginning, with \n or \r\n; empty lines are skipped; a question takes at most 1 MiB. Members that are not named here are
// ignored. Of several names the first that is there counts:
//
//	question  also prompt, input, problem: a text
//	choices   also options: 2 to 26 texts or numbers in a list; an object of texts by letter; ARC's object of the lists text and
//	          label; columns A, B, ... of a CSV. Left out or null where the answer is free.
//	answer    also target, label, answerKey. With choices: the letter, the text of the choice, ARC's label, or the index from 0;
//	          a JSON number is always an index, as in MMLU. Without choices: a number, a text, true or false (yes or no); of a
//	          text with #### only what follows it, as in GSM8K. A list of one is its element. null where nobody knows.
//	id        also sample_id, question_id: a text or a number; left out, it is the question's line, in an array its place from 1
//	subject   also category: becomes Item.Kind
//
// The form of a free answer is told from the answer: a number, yes or no, or a text. Texts are compared word by word, so that free
// text of more than a few words is hardly ever right: give choices instead. Opening a file checks all of it; two questions with
// one id are an error.
package suite
