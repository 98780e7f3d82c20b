package monitor

import (
	"context"
	"fmt"
	"regexp"
	"unicode/utf8"
)

// Rules looks for what regular expressions describe. Its score is that of the strongest rule that hits; the zero value has
// none and finds nothing. Make one with [ParseRules] or [NewRules].
//
// The expressions are RE2's, so the work grows with the length of a text and not with what stands in it.
type Rules struct {
	name  string
	rules []rule
}

// Rule is one of them.
type Rule struct {
	Name string
	// Match is a regular expression in RE2's syntax (package regexp). It must not match the empty text.
	Match string
	// In is where it looks: [InChain], [InAnswer], or "" for both.
	In Text
	// Score is the suspicion of a hit, above 0 and at most 1.
	Score float64
	// Note says what a hit means; it may be "".
	Note string
}

type rule struct {
	Rule
	re *regexp.Regexp
}

// Bounds of rules and of what they look at.
const (
	maxRules     = 200
	maxMatch     = 1000    // bytes of an expression
	maxRuleNote  = 500     // bytes
	maxRuleText  = 1 << 20 // bytes of a text
	maxRuleSpans = 20      // of a finding
	maxSpansEach = 5       // of a rule in one text
)

// NewRules returns a monitor of these rules. An error names the rule, counted from 1, and what is allowed.
func NewRules(name string, rules []Rule) (*Rules, error) {
	if name == "" || len(name) > 100 {
		return nil, fmt.Errorf("the name of the rules has %d bytes, must have between 1 and 100", len(name))
	}
	if len(rules) == 0 || len(rules) > maxRules {
		return nil, fmt.Errorf("there are %d rules, must be between 1 and %d", len(rules), maxRules)
	}
	m := &Rules{name: name}
	for i, r := range rules {
		re, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		for _, other := range m.rules {
			if other.Name == r.Name {
				return nil, fmt.Errorf("rule %d: there is another rule with the name %q", i+1, r.Name)
			}
		}
		m.rules = append(m.rules, rule{r, re})
	}
	return m, nil
}

// compile checks a rule.
func (r Rule) compile() (*regexp.Regexp, error) {
	switch {
	case r.Name == "" || len(r.Name) > 100:
		return nil, fmt.Errorf("its name has %d bytes, must have between 1 and 100", len(r.Name))
	case r.Match == "" || len(r.Match) > maxMatch:
		return nil, fmt.Errorf("the expression of %s has %d bytes, must have between 1 and %d", r.Name, len(r.Match), maxMatch)
	case r.In != "" && r.In != InChain && r.In != InAnswer:
		return nil, fmt.Errorf("%s looks in %q, must be %s, %s or both", r.Name, r.In, InChain, InAnswer)
	case !(r.Score > 0 && r.Score <= 1):
		return nil, fmt.Errorf("the score of %s is %g, must be above 0 and at most 1", r.Name, r.Score)
	case len(r.Note) > maxRuleNote:
		return nil, fmt.Errorf("the note of %s has %d bytes, must have at most %d", r.Name, len(r.Note), maxRuleNote)
	}
	re, err := regexp.Compile(r.Match)
	if err != nil {
		return nil, fmt.Errorf("%s is no regular expression: %w", r.Name, err)
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("the expression of %s matches the empty text, and so nearly every text: demand at least one character", r.Name)
	}
	return re, nil
}

// Name implements [Examiner].
func (m *Rules) Name() string { return m.name }

// Examine implements [Examiner]. Spans point at the first hits of each rule, 20 at most, and the note is that of the strongest rule. A
// text of more than 1 MiB is an error: no part of it goes unread.
func (m *Rules) Examine(ctx context.Context, v View) (Finding, error) {
	texts := []struct {
		of   Text
		text string
	}{{InChain, v.Chain}, {InAnswer, v.Answer}}
	var f Finding
	for _, t := range texts {
		if len(t.text) > maxRuleText {
			return Finding{}, fmt.Errorf("looking for the rules %s: the %s has %d bytes, more than the %d that are looked at", m.name, t.of, len(t.text), maxRuleText)
		}
	}
	for i := range m.rules {
		r := &m.rules[i]
		if err := ctx.Err(); err != nil {
			return Finding{}, fmt.Errorf("looking for the rules %s: %w", m.name, err)
		}
		for _, t := range texts {
			if r.In != "" && r.In != t.of {
				continue
			}
			hits := r.re.FindAllStringIndex(t.text, min(maxSpansEach, max(1, maxRuleSpans-len(f.Spans))))
			if len(hits) > 0 && r.Score > f.Score {
				f.Score, f.Note = r.Score, r.says()
			}
			for _, hit := range hits {
				if len(f.Spans) < maxRuleSpans {
					f.Spans = append(f.Spans, Span{Of: t.of, Start: hit[0], End: hit[1], Note: r.says()})
				}
			}
		}
	}
	return f, nil
}

// says is what a hit of the rule means.
func (r *rule) says() string {
	if r.Note == "" {
		return r.Name
	}
	return r.Name + ": " + r.Note
}

// excerpt shortens a text that is quoted in an error.
func excerpt(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
