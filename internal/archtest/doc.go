// Package archtest holds candor's import rules and house rules as tests; it exports nothing.
//
// The import rules are a text ([rules] in rules_test.go) in the notation of the go command's own dependency test
// (go/build/deps_test.go), one rule a line:
//
//	a, b < c < d    # c may import a and b; d may import c, and a and b too
//	a !< b          # b must not import a, not even through other packages
//
// A name is a folder and stands for every package at or below it. Packages of one folder may import each other. Whatever
// no rule allows is forbidden: a package that imports another of the module has to be named by a rule. A comment line must
// stand directly above every ban and give its reason, for a ban is the kind of rule that somebody will want to lift.
//
// The imports are read with go/parser from all files of all platforms, tests left out: a test may build its fixtures with
// what the package itself must not know. Modules nested in the tree (generators of assembly) are not candor's packages and
// are left out as well.
//
// The house rules say which standard packages and calls belong to one place only: randomness to internal/rng, the clock
// and the environment to cmd. Tests may use both, and so may internal/browser, which no rule lets anything but a test
// import. Each message names what to use instead.
package archtest
