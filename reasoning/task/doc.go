// Package task is the lab's problem family: modular addition, its texts, and the people who wrote about it.
//
// # Problems
//
// A [Problem] is a list of operands and a modulus. [Problem.Prompt] puts it into the task language, whose words are
// separated by single spaces, one word a token ([Vocabulary]); operands are found by labels that start at a random offset:
//
//	q i14 6 i15 -2 i16 9 i17 . mod 5 ; steps :     then a chain as in package cot
//	q i14 6 i15 -2 i16 9 i17 . mod 5 ; quick :     then `answer 3`
//
// A [Range] describes which problems there are. [SplitOf] cuts all problems there could be into train, validation and test
// by a hash of the problem's ID, so what is held out in one place is held out everywhere. [Check] judges a parsed chain.
//
// # The corpus
//
// A [Corpus] is the lab's web text, written a page at a time by [Corpus.Page]. Page kinds, each with a share:
//
//	worked   a training problem and the chain of a fallible demonstrator ([Demonstrators])
//	quick    a training problem and its answer without work, some of them random
//	prose    sentences about animals, people and the weather, some in German or French
//	drills   single steps out of their context: `q i3 -4 i4 9 . mod 11 ; step :` and the steps at those labels
//	lookups  a list without a modulus, read out from somewhere on: `q i7 -4 i8 11 i9 . list :` and `i8 11 ; i9 .`
//	facts    plain sums: `7 + 8 is 15 .`
//
// Drills and look-ups may cover wider operands and moduli than the problems: the parts of a problem that was never seen
// whole. The list of a drill has no closing label, and no page, drills included, lists a problem of the validation or the
// test split. (The steps of a long training problem do pass through sums that also begin held-out ones.)
//
// A language model is trained on [Page.Text] with the loss on Page.Body alone: a prompt's numbers are random, and learning
// to predict them harms what follows. [Corpus.Accuracy] is what a perfect imitator of the worked pages would reach.
//
// # The planning world
//
// [Planning] is a world of its own, one choice between a small reward now and a big one later.
package task
