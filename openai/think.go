package openai

import "strings"

// split is a text with its thoughts taken out.
type split struct {
	thoughts, text string
	// tagged tells that there were marks, leaked that thoughts stood behind or between what was said, unclosed that they did not
	// end.
	tagged, leaked, unclosed bool
}

// splitThoughts takes what stands between the marks open and end out of a text. If inside, the text begins within thoughts. An end
// without a beginning ends thoughts that the prompt began: all in front of it is thought. Nothing but the marks is lost, and
// without marks the text stays as it is.
func splitThoughts(s, open, end string, inside bool) split {
	var out split
	var thoughts, text []string
	if trimmed := strings.TrimSpace(s); inside && strings.HasPrefix(trimmed, open) {
		s, out.tagged = trimmed[len(open):], true // the mark, though the prompt had it
	}
	said := func() bool { return strings.TrimSpace(strings.Join(text, "")) != "" }
	for {
		if inside {
			before, after, ok := strings.Cut(s, end)
			thoughts = append(thoughts, before)
			if !ok {
				out.unclosed = true
				break
			}
			out.tagged, inside, s = true, false, after
			continue
		}
		o, e := strings.Index(s, open), strings.Index(s, end)
		if o < 0 && e < 0 {
			text = append(text, s)
			break
		}
		if e >= 0 && (o < 0 || e < o) {
			text = append(text, s[:e])
			out.leaked = out.leaked || out.tagged && said()
			thoughts, text = append(thoughts, strings.Join(text, "")), nil
			out.tagged, s = true, s[e+len(end):]
			continue
		}
		text = append(text, s[:o])
		out.leaked = out.leaked || said()
		out.tagged, inside, s = true, true, s[o+len(open):]
	}
	out.thoughts = joinNonempty(thoughts)
	out.text = strings.Join(text, "")
	return out
}

// joinNonempty joins texts by line ends, leaving out those without any character.
func joinNonempty(texts []string) string {
	var kept []string
	for _, t := range texts {
		if t != "" {
			kept = append(kept, t)
		}
	}
	return strings.Join(kept, "\n")
}
