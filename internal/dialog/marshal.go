package dialog

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rufweite/rufweite/internal/ask"
)

// Marshal writes a program as canonical YAML: fields in a fixed order, nothing that is empty, long texts as blocks. What
// it writes Load reads again to the same program. Comments of the original file are lost.
func Marshal(p *Program) ([]byte, error) {
	node, err := toNode(reflect.ValueOf(*p), false)
	if err != nil {
		return nil, fmt.Errorf("write dialog %q: %w", p.Key, err)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(node); err != nil {
		return nil, fmt.Errorf("write dialog %q: %w", p.Key, err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("write dialog %q: %w", p.Key, err)
	}
	return b.Bytes(), nil
}

func scalar(tag, value string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
	if tag == "!!str" {
		switch {
		case strings.Contains(value, "\n") && !strings.Contains(value, "\r") && strings.TrimSpace(value) != "" && value == strings.TrimLeft(value, " \t\n"):
			n.Style = yaml.LiteralStyle
		case !stepPattern.MatchString(value):
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	return n
}

// toNode makes a node of a value; nil for what is empty and may be left out. keep: empty values are written.
func toNode(v reflect.Value, keep bool) (*yaml.Node, error) {
	switch x := v.Interface().(type) {
	case ask.Words:
		if !x.Machine {
			return scalar("!!str", x.Text), nil
		}
	case time.Time:
		if x.IsZero() {
			return nil, nil //nolint:nilnil // left out
		}
		return scalar("!!str", x.Format(time.RFC3339)), nil
	case ask.Duration:
		if x == 0 {
			return nil, nil //nolint:nilnil // left out
		}
	}
	if v.IsZero() && !keep && v.Kind() != reflect.Struct {
		return nil, nil //nolint:nilnil // left out
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok && v.Kind() != reflect.Pointer {
		b, err := m.MarshalText()
		return scalar("!!str", string(b)), err
	}
	switch v.Kind() {
	case reflect.Pointer:
		return toNode(v.Elem(), true)
	case reflect.Interface:
		return toNode(v.Elem(), true)
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if tag == "" || tag == "-" {
				continue
			}
			c, err := toNode(v.Field(i), false)
			if err != nil {
				return nil, err
			}
			if c != nil {
				n.Content = append(n.Content, scalar("!!str", tag), c)
			}
		}
		if small(n) {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		keys := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			keys[k.String()] = v.MapIndex(k)
		}
		for _, k := range sorted(keys) {
			c, err := toNode(keys[k], true)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, scalar("!!str", k), c)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for i := range v.Len() {
			c, err := toNode(v.Index(i), true)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		if v.Len() == 0 || v.Type().Elem().Kind() == reflect.String {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	case reflect.String:
		return scalar("!!str", v.String()), nil
	case reflect.Bool:
		return scalar("!!bool", strconv.FormatBool(v.Bool())), nil
	case reflect.Int, reflect.Int64:
		return scalar("!!int", strconv.FormatInt(v.Int(), 10)), nil
	case reflect.Float64:
		s := strconv.FormatFloat(v.Float(), 'f', -1, 64)
		if !strings.Contains(s, ".") && v.CanInterface() {
			return scalar("!!float", s+".0"), nil
		}
		return scalar("!!float", s), nil
	case reflect.Invalid:
		return scalar("!!null", "null"), nil
	}
	return nil, fmt.Errorf("a value of type %s cannot be written", v.Type())
}

// small reports whether a mapping fits on a line: nothing in it but a few short words.
func small(n *yaml.Node) bool {
	size := 0
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode || c.Style == yaml.LiteralStyle {
			return false
		}
		size += len(c.Value) + 2
	}
	return size < 80
}
