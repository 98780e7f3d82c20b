package experiment

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// decodeYAML reads data strictly into dst, a pointer to a struct: unknown keys, duplicate keys, keys without a value and
// values of the wrong type are errors with file, line, column and what would be valid.
//
// The tree is read here rather than by the YAML library, so that the places that defaults go by and the values cannot
// disagree: the library keeps fields of a merged mapping whose key is given anew, and lets a merge override keys before it.
func decodeYAML(file string, data []byte, dst any) (*document, error) {
	d := &document{file: file, places: map[string]ast.Node{}, targets: map[*ast.AliasNode]ast.Node{}}
	body, err := d.parse(data)
	if err != nil {
		return nil, err
	}
	return d, d.value(body, reflect.ValueOf(dst).Elem(), "", 0)
}

// value reads n into v and notes its place.
func (d *document) value(n ast.Node, v reflect.Value, path string, depth int) error {
	if d.values++; d.values > maxValues || depth > maxDepth {
		return d.errorAt(n, "the file is nested too deeply or its aliases expand to too much")
	}
	d.places[path] = n
	n = d.resolve(n)
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(n, v.Elem(), path, depth+1)
	case reflect.Slice, reflect.Array:
		return d.list(n, v, path, depth)
	case reflect.Struct, reflect.Map:
		return d.mapping(n, v, path, depth)
	}
	return d.scalar(n, v, path)
}

// resolve follows anchors and aliases to what they stand for.
func (d *document) resolve(n ast.Node) ast.Node {
	for {
		switch m := n.(type) {
		case *ast.AnchorNode:
			n = m.Value
		case *ast.AliasNode:
			n = d.targets[m]
		default:
			return n
		}
	}
}

// mistyped is the error for a value that is not of the kind wanted.
func (d *document) mistyped(n ast.Node, path, wanted string) error {
	at := d.places[path]
	key := path[strings.LastIndexByte(path, '.')+1:]
	if key == "" {
		key = "the file"
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return d.errorAt(at, "%s has no value: give %s, or leave the key out", key, wanted)
	case *ast.SequenceNode:
		return d.errorAt(at, "%s is a list, must be %s", key, wanted)
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.errorAt(at, "%s is a mapping, must be %s", key, wanted)
	default:
		return d.errorAt(at, "%s is %q, must be %s", key, abridged(n.GetToken().Value), wanted)
	}
}

func abridged(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return text
}

func (d *document) list(n ast.Node, v reflect.Value, path string, depth int) error {
	seq, ok := n.(*ast.SequenceNode)
	switch {
	case v.Kind() == reflect.Array && (!ok || len(seq.Values) != v.Len()):
		return d.mistyped(n, path, fmt.Sprintf("a list of %d values", v.Len()))
	case !ok:
		return d.mistyped(n, path, "a list")
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	}
	for i, e := range seq.Values {
		if err := d.value(e, v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *document) mapping(n ast.Node, v reflect.Value, path string, depth int) error {
	pairs, err := d.pairs(n, path, depth)
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Map {
		v.Set(reflect.MakeMap(v.Type()))
	}
	fields := map[string][]int{}
	if v.Kind() == reflect.Struct {
		yamlFields(v.Type(), nil, fields)
	}
	for _, p := range pairs {
		below := strings.TrimPrefix(path+"."+p.key, ".")
		if v.Kind() == reflect.Map {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := d.value(p.Value, e, below, depth+1); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), e)
			continue
		}
		index, ok := fields[p.key]
		if !ok {
			return d.errorAt(p.Key, "unknown key %q; valid keys here: %s", abridged(p.key), list(sortedKeys(fields)))
		}
		if err := d.value(p.Value, v.FieldByIndex(index), below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// pair is one entry of a mapping.
type pair struct {
	key string
	*ast.MappingValueNode
}

// pairs returns the entries of a mapping: its own, and behind them those that it lacks of the mappings it merges. Among
// these an earlier one goes before a later one, as the YAML merge key's definition has it.
func (d *document) pairs(n ast.Node, path string, depth int) ([]pair, error) {
	if depth > maxDepth {
		return nil, d.errorAt(n, "the file is nested too deeply")
	}
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		return nil, d.mistyped(n, path, "a mapping")
	}
	var out []pair
	var merged []ast.Node
	have := map[string]bool{}
	for _, kv := range entries {
		if kv.Key.IsMergeKey() {
			merged = append(merged, kv.Value)
			continue
		}
		key, ok := keyName(kv.Key)
		switch {
		case !ok:
			return nil, d.errorAt(kv.Key, "a key must be a plain word")
		case have[key]:
			return nil, d.errorAt(kv.Key, "the key %s stands here twice", abridged(key))
		}
		have[key] = true
		out = append(out, pair{key, kv})
	}
	for _, m := range merged {
		sources := []ast.Node{m}
		if seq, ok := d.resolve(m).(*ast.SequenceNode); ok {
			sources = seq.Values
		}
		for _, source := range sources {
			target := d.resolve(source)
			switch target.(type) {
			case *ast.MappingNode, *ast.MappingValueNode:
			default:
				return nil, d.errorAt(source, "<< merges mappings, and this is none")
			}
			more, err := d.pairs(target, path, depth+1)
			if err != nil {
				return nil, err
			}
			if d.values += len(more); d.values > maxValues {
				return nil, d.errorAt(source, "the file's aliases expand to too much")
			}
			for _, p := range more {
				if !have[p.key] {
					have[p.key] = true
					out = append(out, p)
				}
			}
		}
	}
	return out, nil
}

// keyName returns what a key says, without the quotes it may have.
func keyName(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d *document) scalar(n ast.Node, v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.String:
		switch n := n.(type) {
		case *ast.StringNode:
			v.SetString(n.Value)
			return nil
		case *ast.LiteralNode:
			v.SetString(n.Value.Value)
			return nil
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			return d.mistyped(n, path, "a text: put it in quotes")
		}
		return d.mistyped(n, path, "a text")
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return nil
		}
		return d.mistyped(n, path, "true or false")
	case reflect.Int:
		if x, ok := whole(n); ok {
			v.SetInt(x)
			return nil
		}
		return d.mistyped(n, path, "a whole number")
	case reflect.Float64:
		if x, ok := whole(n); ok {
			v.SetFloat(float64(x))
			return nil
		}
		if f, ok := n.(*ast.FloatNode); ok && !math.IsInf(f.Value, 0) && !math.IsNaN(f.Value) {
			v.SetFloat(f.Value)
			return nil
		}
		return d.mistyped(n, path, "a number")
	}
	panic("experiment: a spec has a field of type " + v.Type().String() + ", which is not read")
}

// whole returns the value of a whole number below 2^53, beyond which not every one has a float64.
func whole(n ast.Node) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	const most = 1 << 53
	switch x := i.Value.(type) {
	case int64:
		return x, -most <= x && x <= most
	case uint64:
		return int64(x), x <= most
	}
	return 0, false
}

// yamlFields collects where the fields of a struct are by their keys, those of inlined structs included.
func yamlFields(t reflect.Type, above []int, into map[string][]int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(above), i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case strings.Contains(opts, "inline"):
			yamlFields(f.Type, index, into)
		case f.IsExported():
			into[name] = index
		}
	}
}
