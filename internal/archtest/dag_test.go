package archtest

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// A policy is a parsed set of import rules.
type policy struct {
	below map[string][]string // below[b] are the folders that stand directly left of b in an `a < b`
	bans  []ban
}

// A ban says that no package of importer reaches a package of imported.
type ban struct {
	imported, importer string
	reason             string
	line               int
}

// parsePolicy reads rules in the notation of the package comment. An error names the line.
func parsePolicy(text string) (*policy, error) {
	p := &policy{below: map[string][]string{}}
	var comment []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			comment = nil
			continue
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimSpace(line[1:]))
			continue
		}
		reason := strings.Join(comment, " ")
		comment = nil
		if left, right, ok := strings.Cut(line, "!<"); ok {
			as, err := folders(left)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			bs, err := folders(right)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			if reason == "" {
				return nil, fmt.Errorf("line %d: the ban %q has no reason: put a # line directly above it", i+1, line)
			}
			for _, a := range as {
				for _, b := range bs {
					p.bans = append(p.bans, ban{a, b, reason, i + 1})
				}
			}
			continue
		}
		parts := strings.Split(line, "<")
		if len(parts) < 2 {
			return nil, fmt.Errorf("line %d: %q is no rule: write `a < b` or `a !< b`", i+1, line)
		}
		var left []string
		for _, part := range parts {
			right, err := folders(part)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			for _, b := range right {
				p.below[b] = append(p.below[b], left...)
			}
			left = right
		}
	}
	for b := range p.below {
		if slices.Contains(p.reach(b)[1:], b) {
			return nil, fmt.Errorf("the rules let %s import itself in a circle", b)
		}
	}
	return p, nil
}

func folders(list string) ([]string, error) {
	var out []string
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" || strings.ContainsAny(name, " \t<!#") {
			return nil, fmt.Errorf("%q is no folder", name)
		}
		out = append(out, name)
	}
	return out, nil
}

// reach returns the folder b followed by all folders below it. If the rules have a circle through b, b occurs again.
func (p *policy) reach(b string) []string {
	out := []string{b}
	seen := map[string]bool{}
	for i := 0; i < len(out); i++ {
		for _, a := range p.below[out[i]] {
			if !seen[a] {
				seen[a] = true
				out = append(out, a)
			}
		}
	}
	return out
}

// in tells whether the package pkg belongs to folder.
func in(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

// check returns one sentence for each import that breaks the policy, sorted. imports maps each package of the module to
// the packages of the module that it imports directly; both are paths relative to the module.
func (p *policy) check(imports map[string][]string) []string {
	var faults []string
	for pkg, list := range imports {
		var own, allowed []string
		for folder := range p.below {
			if in(pkg, folder) {
				own = append(own, folder)
				allowed = append(allowed, p.reach(folder)...)
			}
		}
		for _, q := range list {
			if slices.ContainsFunc(allowed, func(f string) bool { return in(q, f) }) {
				continue
			}
			if len(own) == 0 {
				faults = append(faults, fmt.Sprintf("%s imports %s, but no rule names %s: say in rules_test.go what it may import", pkg, q, pkg))
			} else {
				faults = append(faults, fmt.Sprintf("%s imports %s, and no rule lets %s import it: move the code, or pass in what is needed", pkg, q, own[0]))
			}
		}
	}
	for _, b := range p.bans {
		for pkg := range imports {
			if !in(pkg, b.importer) {
				continue
			}
			if path := route(imports, pkg, b.imported); path != nil {
				faults = append(faults, fmt.Sprintf("%s (line %d bans %s from %s: %s)", strings.Join(path, " imports "), b.line, b.imported, b.importer, b.reason))
			}
		}
	}
	sort.Strings(faults)
	return faults
}

// route returns a shortest chain of imports from pkg to a package of folder other than pkg, or nil.
func route(imports map[string][]string, pkg, folder string) []string {
	from := map[string]string{pkg: ""}
	queue := []string{pkg}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if at != pkg && in(at, folder) {
			var path []string
			for ; at != ""; at = from[at] {
				path = append(path, at)
			}
			slices.Reverse(path)
			return path
		}
		for _, next := range imports[at] {
			if _, ok := from[next]; !ok {
				from[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}
