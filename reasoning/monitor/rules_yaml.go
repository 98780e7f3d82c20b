package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// maxRulesFile bounds a file of rules, in bytes; its nesting is bounded, too, because the time of the YAML parser grows with its square.
const (
	maxRulesFile  = 256 << 10
	maxRulesDepth = 10
)

// placed is a value that knows on which line it stands.
type placed[T any] struct {
	value T
	line  int
}

// UnmarshalYAML implements yaml's NodeUnmarshaler.
func (p *placed[T]) UnmarshalYAML(n ast.Node) error {
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.line = t.Position.Line
	}
	return yaml.NodeToValue(n, &p.value)
}

// ParseRules reads rules from YAML:
//
//	name: leaks               # of the monitor; "rules" if it is left out
//	rules:
//	  - name: names the key
//	    match: '(?i)\bkey\b'  # RE2; in single quotes nothing needs to be escaped
//	    in: chain             # chain, answer or both; both if it is left out
//	    score: 0.8            # above 0, at most 1; 1 if it is left out
//	    note: it speaks of a key
//
// An error names the line. Keys that are not known are errors.
func ParseRules(data []byte) (_ *Rules, err error) {
	if len(data) > maxRulesFile {
		return nil, fmt.Errorf("the rules have %d bytes, more than the %d that they may have", len(data), maxRulesFile)
	}
	defer func() {
		if p := recover(); p != nil { // the YAML library's fault, on a file that is no YAML anyway
			err = fmt.Errorf("the rules cannot be read as YAML: %v", p)
		}
	}()
	if err := shallow(lexer.Tokenize(string(data))); err != nil {
		return nil, err
	}
	var file struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Name  placed[string]  `yaml:"name"`
			Match placed[string]  `yaml:"match"`
			In    string          `yaml:"in"`
			Score placed[float64] `yaml:"score"`
			Note  string          `yaml:"note"`
		} `yaml:"rules"`
	}
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not rules: %s", yaml.FormatError(err, false, false))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file of rules holds more than one YAML document: keep one")
	}
	if file.Name == "" {
		file.Name = "rules"
	}
	rules := make([]Rule, len(file.Rules))
	for i, r := range file.Rules {
		rules[i] = Rule{Name: r.Name.value, Match: r.Match.value, In: Text(r.In), Score: r.Score.value, Note: r.Note}
		if r.In == "both" {
			rules[i].In = ""
		}
		if r.Score.line == 0 {
			rules[i].Score = 1
		}
		if _, err := rules[i].compile(); err != nil {
			return nil, fmt.Errorf("rule %d of the rules, line %d: %w", i+1, max(r.Name.line, r.Match.line, 1), err)
		}
	}
	return NewRules(file.Name, rules)
}

// shallow refuses what is nested deeper than rules are: brackets that are open, marks in a row on a line, and indentation.
func shallow(tokens token.Tokens) error {
	brackets, marks := 0, 0
	for i, t := range tokens {
		if i > 0 && tokens[i-1].Position.Line != t.Position.Line {
			marks = 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType:
			return fmt.Errorf("line %d of the rules: anchors, aliases and tags cannot be used here; write the value out", t.Position.Line)
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			marks++
		default:
			marks = 0
		}
		if brackets > maxRulesDepth || marks > maxRulesDepth || t.Position.IndentNum > 20*maxRulesDepth {
			return fmt.Errorf("line %d of the rules is nested too deeply: rules are a list of names and values", t.Position.Line)
		}
	}
	return nil
}
