package experiment

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// PositionError is a mistake in a spec with the place it is at.
type PositionError struct {
	File         string
	Line, Column int // from 1
	Msg          string
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Bounds that keep a hostile file from taking more time or memory than a spec is worth. The YAML parser's time grows with
// the square of the depth and of the number of keys, so both are bounded before it starts.
const (
	maxSpec   = 1 << 20 // bytes
	maxTokens = 40_000
	maxDepth  = 40 // of nesting
	maxIndent = 200
	maxValues = 200_000 // with aliases expanded
)

// document is a parsed YAML file that remembers where each value stands, by paths such as "arms[2].stages[0].grpo.steps".
type document struct {
	file   string
	places map[string]ast.Node
	// targets is what each alias stands for.
	targets map[*ast.AliasNode]ast.Node
	values  int // read so far
}

// at returns msg as an error at the value that path names, or at the nearest parent that has a place.
func (d *document) at(path, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	for {
		if n, ok := d.places[path]; ok {
			return d.errorAt(n, "%s", msg)
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.errorIn(1, 1, msg)
		}
		path = path[:i]
	}
}

// under places an error from a Validate method. Such a message begins with the names of the fields that lead to the
// mistake; of several joined errors only the first is kept.
func (d *document) under(path string, err error) error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return d.under(path, all.Unwrap()[0])
	}
	for _, word := range strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ':' || r == ',' }) {
		if _, ok := d.places[path+"."+word]; !ok {
			break
		}
		path += "." + word
	}
	return d.at(path, "%s", err)
}

func (d *document) errorIn(line, column int, msg string) error {
	return &PositionError{File: d.file, Line: line, Column: column, Msg: msg}
}

func (d *document) errorAt(n ast.Node, format string, args ...any) error {
	// a mapping's own token is its first colon: its first key is where it begins
	for {
		if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
			n = m.Values[0]
		}
		kv, ok := n.(*ast.MappingValueNode)
		if !ok {
			break
		}
		n = kv.Key
	}
	msg := fmt.Sprintf(format, args...)
	if t := n.GetToken(); t != nil && t.Position != nil {
		return d.errorIn(t.Position.Line, t.Position.Column, msg)
	}
	return d.errorIn(1, 1, msg)
}

// parse returns the file's one YAML document as a tree without tags, whose aliases all have targets.
func (d *document) parse(data []byte) (body ast.Node, err error) {
	if len(data) > maxSpec {
		return nil, d.errorIn(1, 1, fmt.Sprintf("the file is %d bytes long; a spec has at most %d", len(data), maxSpec))
	}
	if !utf8.Valid(data) {
		at := 0
		for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(data[at:]) {
			at += size
		}
		line := data[bytes.LastIndexByte(data[:at], '\n')+1 : at]
		return nil, d.errorIn(1+bytes.Count(data[:at], []byte("\n")), 1+utf8.RuneCount(line), "the file is not UTF-8: save it as UTF-8 text")
	}
	defer func() {
		if p := recover(); p != nil { // the parser's own fault, on a file that is no YAML anyway
			body, err = nil, d.errorIn(1, 1, fmt.Sprintf("the file cannot be read as YAML: %v", p))
		}
	}()
	tokens := lexer.Tokenize(strings.TrimPrefix(string(data), "\ufeff"))
	if err := d.bounded(tokens); err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, d.wrap(err)
	}
	var docs []*ast.DocumentNode
	for _, doc := range parsed.Docs {
		if doc.Body != nil {
			docs = append(docs, doc)
		}
	}
	switch len(docs) {
	case 0:
		return nil, d.errorIn(1, 1, "the file is empty: a study has at least a name, seeds and arms")
	case 1:
		body = docs[0].Body
	default:
		return nil, d.errorAt(docs[1].Body, "the file holds %d YAML documents, want exactly one: a second begins here", len(docs))
	}
	if err := d.link(body, map[string]ast.Node{}, 0); err != nil {
		return nil, err
	}
	return body, nil
}

// bounded refuses what the parser would take too long for, by a rough measure of depth: brackets that are open, marks in
// a row on a line, and indentation.
func (d *document) bounded(tokens token.Tokens) error {
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
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.AnchorType, token.AliasType, token.TagType:
			marks++
		default:
			// the names of anchors and aliases are tokens of their own
			if i == 0 || tokens[i-1].Type != token.AnchorType && tokens[i-1].Type != token.AliasType {
				marks = 0
			}
		}
		if brackets > maxDepth || marks > maxDepth || t.Position.IndentNum > maxIndent {
			return d.errorIn(t.Position.Line, t.Position.Column, "the file is nested too deeply")
		}
	}
	if len(tokens) > maxTokens {
		return d.errorIn(1, 1, fmt.Sprintf("the file has %d words and signs; a spec has at most %d", len(tokens), maxTokens))
	}
	return nil
}

// wrap turns an error of the YAML library into a PositionError.
func (d *document) wrap(err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil || ye.GetToken().Position == nil {
		return d.errorIn(1, 1, err.Error())
	}
	p := ye.GetToken().Position
	return d.errorIn(p.Line, p.Column, ye.GetMessage())
}

// link finds the target of every alias below n; anchors holds those that stand before it.
func (d *document) link(n ast.Node, anchors map[string]ast.Node, depth int) error {
	if depth > maxDepth {
		return d.errorAt(n, "the file is nested too deeply")
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		name := n.Name.GetToken().Value
		if anchors[name] != nil {
			return d.errorAt(n, "the anchor &%s stands here a second time", name)
		}
		if err := d.link(n.Value, anchors, depth+1); err != nil {
			return err
		}
		anchors[name] = n.Value
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if anchors[name] == nil {
			return d.errorAt(n, "the alias *%s has no anchor before it; anchors: %s", name, list(sortedKeys(anchors)))
		}
		d.targets[n] = anchors[name]
	case *ast.SequenceNode:
		for _, v := range n.Values {
			if err := d.link(v, anchors, depth+1); err != nil {
				return err
			}
		}
	case *ast.MappingNode:
		for _, kv := range n.Values {
			if err := d.link(kv.Value, anchors, depth+1); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		return d.link(n.Value, anchors, depth+1)
	case *ast.TagNode:
		return d.errorAt(n, "a spec has no tags: leave %s out", n.Start.Value)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// list shows names in a message.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
