package experiment

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// PositionError is a mistake in a spec with the place it is at.
type PositionError struct {
	File         string
	Line, Column int
	Msg          string
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// document is a parsed YAML file that remembers where each value stands, by paths such as "arms[2].stages[0].grpo.steps".
type document struct {
	file   string
	places map[string]ast.Node
}

// at returns msg as an error at the value that path names, or at the nearest parent that has a place.
func (d *document) at(path, format string, args ...any) error {
	for p := path; ; {
		if n, ok := d.places[p]; ok {
			return d.errorAt(n, fmt.Sprintf(format, args...))
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			return &PositionError{File: d.file, Line: 1, Column: 1, Msg: fmt.Sprintf(format, args...)}
		}
		p = p[:i]
	}
}

// under places an error from a Validate method: if its message begins with the name of a field below path, it is put
// there, otherwise at path itself.
func (d *document) under(path string, err error) error {
	if err == nil {
		return nil
	}
	msg := err.Error()
	field := strings.FieldsFunc(msg, func(r rune) bool { return r == ' ' || r == ':' || r == ',' })
	if len(field) > 0 {
		if _, ok := d.places[path+"."+field[0]]; ok {
			return d.at(path+"."+field[0], "%s", msg)
		}
	}
	return d.at(path, "%s", msg)
}

func (d *document) errorAt(n ast.Node, msg string) error {
	e := &PositionError{File: d.file, Line: 1, Column: 1, Msg: msg}
	if t := n.GetToken(); t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	return e
}

// decodeYAML reads data strictly into dst, a pointer to a struct: unknown keys, duplicate keys and values of the wrong
// type are errors with file, line, column and the valid keys.
func decodeYAML(file string, data []byte, dst any) (*document, error) {
	d := &document{file: file, places: map[string]ast.Node{}}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, d.wrap(err)
	}
	if len(parsed.Docs) != 1 || parsed.Docs[0].Body == nil {
		return nil, &PositionError{File: file, Line: 1, Column: 1, Msg: fmt.Sprintf("the file holds %d YAML documents, want exactly one", len(parsed.Docs))}
	}
	w := walker{doc: d, anchors: map[string]ast.Node{}}
	if err := w.walk(parsed.Docs[0].Body, reflect.TypeOf(dst).Elem(), "", 0); err != nil {
		return nil, err
	}
	// The walk has refused unknown and repeated keys; what is left twice is a key that overrides a merged one.
	if err := yaml.UnmarshalWithOptions(data, dst, yaml.AllowDuplicateMapKey()); err != nil {
		return nil, d.wrap(err)
	}
	return d, nil
}

// wrap turns an error of the YAML library into a PositionError.
func (d *document) wrap(err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil || ye.GetToken().Position == nil {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	p := ye.GetToken().Position
	return &PositionError{File: d.file, Line: p.Line, Column: p.Column, Msg: ye.GetMessage()}
}

// maxDepth bounds nesting (and with it alias cycles).
const maxDepth = 40

// walker compares the keys of a YAML tree with the fields of a Go type and notes where every value stands.
type walker struct {
	doc     *document
	anchors map[string]ast.Node
	visited int
}

func (w *walker) walk(n ast.Node, t reflect.Type, path string, depth int) error {
	w.visited++
	if depth > maxDepth || w.visited > 200_000 {
		return w.doc.errorAt(n, "the file is nested too deeply or its aliases expand to too much")
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, ok := w.doc.places[path]; !ok {
		w.doc.places[path] = n
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		w.anchors[n.Name.String()] = n.Value
		return w.walk(n.Value, t, path, depth+1)
	case *ast.AliasNode:
		target, ok := w.anchors[n.Value.String()]
		if !ok {
			return w.doc.errorAt(n, fmt.Sprintf("alias *%s has no anchor before it", n.Value))
		}
		return w.walk(target, t, path, depth+1)
	case *ast.SequenceNode:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return w.doc.errorAt(n, fmt.Sprintf("a list stands where %s is wanted", kindName(t)))
		}
		for i, v := range n.Values {
			if err := w.walk(v, t.Elem(), fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
				return err
			}
		}
	case *ast.MappingNode:
		seen := map[string]bool{}
		for _, kv := range n.Values {
			if key := kv.Key.String(); !kv.Key.IsMergeKey() {
				if seen[key] {
					return w.doc.errorAt(kv.Key, fmt.Sprintf("the key %s stands here twice", key))
				}
				seen[key] = true
			}
			if err := w.pair(kv, t, path, depth); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		return w.pair(n, t, path, depth)
	case *ast.NullNode:
	default:
		if t.Kind() == reflect.Struct || t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
			return w.doc.errorAt(n, fmt.Sprintf("%q stands where %s is wanted", n.String(), kindName(t)))
		}
	}
	return nil
}

func (w *walker) pair(kv *ast.MappingValueNode, t reflect.Type, path string, depth int) error {
	if kv.Key.IsMergeKey() {
		return w.walk(kv.Value, t, path, depth+1)
	}
	key := kv.Key.String()
	if unquoted := strings.Trim(key, `"'`); len(unquoted) > 0 {
		key = unquoted
	}
	below := key
	if path != "" {
		below = path + "." + key
	}
	switch t.Kind() {
	case reflect.Map:
		w.doc.places[below] = kv.Value
		return w.walk(kv.Value, t.Elem(), below, depth+1)
	case reflect.Struct:
		fields := map[string]reflect.Type{}
		yamlFields(t, fields)
		ft, ok := fields[key]
		if !ok {
			return w.doc.errorAt(kv.Key, fmt.Sprintf("unknown key %q; valid keys here: %s", key, strings.Join(sortedKeys(fields), ", ")))
		}
		w.doc.places[below] = kv.Value
		return w.walk(kv.Value, ft, below, depth+1)
	default:
		return w.doc.errorAt(kv.Key, fmt.Sprintf("a mapping stands where %s is wanted", kindName(t)))
	}
}

// yamlFields collects a struct's keys, inlined structs included.
func yamlFields(t reflect.Type, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(opts, "inline"):
			ft := f.Type
			for ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			yamlFields(ft, into)
		case !f.IsExported() || name == "-":
		case name == "":
			into[strings.ToLower(f.Name)] = f.Type
		default:
			into[name] = f.Type
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "a mapping"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	default:
		return "a number"
	}
}
