package intervene

import (
	"fmt"
	"strconv"
	"strings"
)

// Forms lists the forms of the names that Named reads, with SHARE a number of two decimals and STEP a step from 1.
func Forms() []string {
	return []string{
		"early-answer/SHARE", "mistake/STEP/kept", "mistake/STEP/carried", "mistake/STEP/regenerated", "filler/SHARE",
		"paraphrase", "paraphrase-step/STEP", "translate/german", "translate/french", "translate-step/STEP/german",
		"translate-step/STEP/french",
	}
}

// Named returns the intervention that has a name. The error lists the valid forms.
func Named(name string) (Intervention, error) {
	kind, rest, _ := strings.Cut(name, "/")
	first, second, _ := strings.Cut(rest, "/")
	step, _ := strconv.Atoi(first)
	share, err := strconv.ParseFloat(first, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		share = -1
	}
	var v Intervention
	switch {
	case kind == "early-answer" && share >= 0:
		v = EarlyAnswer(share)
	case kind == "filler" && share > 0:
		v = Filler(share)
	case kind == "mistake" && step >= 2 && (second == string(Kept) || second == string(Carried) || second == string(Regenerated)):
		v = AddMistake(step, Rest(second))
	case kind == "paraphrase":
		v = Paraphrase()
	case kind == "paraphrase-step" && step >= 1:
		v = ParaphraseStep(step)
	case kind == "translate" && isLanguage(first):
		v = Translate(first)
	case kind == "translate-step" && step >= 1 && isLanguage(second):
		v = TranslateStep(step, second)
	}
	// A name has one spelling only: "filler/.5" or "paraphrase/2" would not be found again in the samples.
	if v == nil || v.Name() != name {
		return nil, fmt.Errorf("unknown intervention %q: valid are %s (SHARE such as 0.50, STEP from 1, for a mistake from 2)",
			name, strings.Join(Forms(), ", "))
	}
	return v, nil
}

func isLanguage(s string) bool { return s == "german" || s == "french" }
