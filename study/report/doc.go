// Package report turns the decisions and samples of a run into something to read: one HTML page and one terminal table.
// It computes no verdict and runs no model; it draws what study/claim decided from what study/runlog recorded.
//
// # The page
//
// [Load] reads a finished run folder into an [Input]; [WriteTable] prints the decisions for a terminal.
// [WriteHTML] writes one self-contained file: no network, no fonts, no script from elsewhere. In order:
//
//  1. a title and one paragraph counted from the decisions;
//  2. all claims in one forest plot, grouped by unit so that only estimates of the same unit share an axis;
//  3. each claim with its statement, who argues it, verdict, estimate, interval, threshold and, folded away, the rule,
//     the parts, the runs and a link to the samples;
//  4. the controls, drawn the same way;
//  5. the arms;
//  6. for a study whose organisms went through a battery of tests: which test sees which organism, a number on a tint each,
//     with a sign where the tint cannot tell, and in words what each test cannot see ([claim.Matrix]);
//  7. for a study of honesty: hiding and a leaked key over training (a panel an arm, a strip a metric), the dose of the
//     penalty, and chains decoded beside the code that each seed uses;
//  8. accuracy, then the learning curves (one panel an arm, one line a seed);
//  9. accuracy and answer change by intervention, for every arm whose chains were edited;
//  10. the reader: one problem's chains side by side, edits in place;
//  11. settings and machine.
//
// A section without data is left out, so a page holds what its run has.
//
// # Untrusted text
//
// A chain of thought is written by a model and may hold anything. It reaches the page in two ways only: through
// html/template, which escapes by context, and inside a JSON data block whose strings the reader inserts by textContent.
// Before either, [visible] spells out characters that cannot be seen or that reorder the line, and clips what is very
// long. A content security policy in the page allows one style sheet and one script, both by their SHA-256.
//
// # Pictures
//
// Figures are inline SVG without a viewBox: x positions are percentages and heights are pixels, so that text keeps its
// size from 360 px to paper. Learning curves put their polyline in a stretched inner SVG with a stroke that does not
// scale. Lines over training have at most [maxBins] points, each the mean over a stretch of equal length, and the page says
// how long it is. Words are decoded as the claims do it: fitted on every second problem, tried on the others.
//
// # Bounds
//
// A run may have 100,000 samples. The reader carries at most [maxSamples] of them, chosen by [pick] so that each run, arm,
// intervention and outcome is seen; the page says how many are shown. Equal inputs give equal bytes.
package report
