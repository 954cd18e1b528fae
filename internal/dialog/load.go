package dialog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/rufweite/rufweite/internal/ask"
)

// Bounds of a file.
const (
	maxFile  = 1 << 20 // bytes
	maxDepth = 24      // of mappings and lists in each other; a dialog needs 9
	maxNodes = 200_000
	maxSteps = 500
)

// Load reads one dialog from YAML or JSON (told apart by the first character). It is strict: what it does not know it
// refuses, with the place and a remedy. The program is nil if there are findings; whether a loaded program has dead ends
// is told by Check. Every finding has a line and a column.
func Load(name string, data []byte) (*Program, []Finding) { return LoadIn("en", name, data) }

// LoadIn is Load with findings in a language: German for "de…", otherwise English.
func LoadIn(language, name string, data []byte) (*Program, []Finding) {
	l := &loader{tongue: speak(language), file: name, places: map[string]place{}}
	p := l.load(data)
	if len(l.findings) > 0 {
		slices.SortStableFunc(l.findings, func(a, b Finding) int {
			return (a.Line-b.Line)*10000 + a.Column - b.Column
		})
		return nil, l.findings
	}
	p.file, p.places = name, l.places
	return p, nil
}

// LoadDir reads every .yaml, .yml and .json file of a file system, in order of their names.
func LoadDir(fsys fs.FS) ([]*Program, []Finding) { return LoadDirIn("en", fsys) }

// LoadDirIn is LoadDir with findings in a language.
func LoadDirIn(language string, fsys fs.FS) ([]*Program, []Finding) {
	var out []*Program
	var findings []Finding
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".yaml", ".yml", ".json":
		default:
			return nil
		}
		f, err := fsys.Open(name)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		p, bad := LoadIn(language, name, data)
		findings = append(findings, bad...)
		if p != nil {
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		t := speak(language)
		findings = append(findings, Finding{Rule: "syntax", Line: 1, Column: 1, Message: t.f("cannot be read: %v", "lässt sich nicht lesen: %v", err), Remedy: t.f("check the path and its permissions", "prüfen Sie Pfad und Rechte")})
	}
	return out, findings
}

type loader struct {
	tongue
	file     string
	findings []Finding
	places   map[string]place
	program  *Program
}

func (l *loader) bad(rule string, at place, message, remedy string) {
	if len(l.findings) >= 100 {
		return
	}
	f := Finding{Rule: rule, File: l.file, Line: max(at.line, 1), Column: max(at.column, 1), Message: message, Remedy: remedy}
	if l.program != nil {
		f.Dialog = l.program.Key
	}
	l.findings = append(l.findings, f)
}

func (l *loader) load(data []byte) *Program {
	top := place{1, 1}
	if len(data) > maxFile {
		l.bad("syntax", top, l.f("the file has more than %d KB", "die Datei hat mehr als %d KB", maxFile>>10), l.f("split the dialog into sub-dialogs (run:)", "teilen Sie den Dialog in Unter-Dialoge (run:)"))
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if (r == utf8.RuneError && n == 1) || (r < ' ' && r != '\n' && r != '\r' && r != '\t') || r == 0x7f {
			l.bad("syntax", position(data, i), l.f("byte 0x%02x is no text", "das Byte 0x%02x ist kein Text", data[i]), l.f("save the file as plain text in UTF-8", "speichern Sie die Datei als reinen Text in UTF-8"))
			return nil
		}
		i += n
	}
	var node *yaml.Node
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		l.bad("syntax", top, l.f("the file is empty", "die Datei ist leer"), l.f("a dialog begins with a line such as: dialog: appointment", "ein Dialog beginnt mit einer Zeile wie: dialog: termin"))
		return nil
	case trimmed[0] == '{':
		node = l.parseJSON(data)
	default:
		node = l.parseYAML(data)
	}
	if node == nil || len(l.findings) > 0 {
		return nil
	}
	if !l.bounded(node) {
		return nil
	}
	p := &Program{}
	if node.Kind != yaml.MappingNode {
		l.bad("structure", placeOf(node), l.f("this is %s, not a dialog", "das ist %s, kein Dialog", l.kind(node)), l.f("a dialog begins with a line such as: dialog: appointment", "ein Dialog beginnt mit einer Zeile wie: dialog: termin"))
		return nil
	}
	l.program = p
	l.decode(node, reflect.ValueOf(p).Elem(), "", "", false)
	for i := range p.Steps {
		p.Steps[i].Line = l.at("steps." + strconv.Itoa(i)).line
	}
	l.structure(p)
	for i := range l.findings {
		l.findings[i].Dialog = p.Key
	}
	return p
}

// position counts lines and columns (characters) up to a byte.
func position(data []byte, offset int) place {
	offset = min(offset, len(data))
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	return place{line, utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1}
}

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

var yamlLine = regexp.MustCompile(`line (\d+)`)

func (l *loader) parseYAML(data []byte) *yaml.Node {
	// Tabs as indentation are the most common mistake, and the parser's own words for it do not help.
	for i, line := range strings.Split(string(data), "\n") {
		if indent := len(line) - len(strings.TrimLeft(line, " \t")); strings.Contains(line[:indent], "\t") && strings.TrimSpace(line) != "" {
			l.bad("syntax", place{i + 1, strings.IndexByte(line, '\t') + 1}, l.f("a tab is used to indent", "eingerückt ist mit einem Tabulator"), l.f("YAML wants spaces: two for each level", "YAML will Leerzeichen: zwei je Ebene"))
			return nil
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		l.yamlError(data, err)
		return nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		l.bad("syntax", placeOf(&second), l.f("a second document begins here", "hier beginnt ein zweites Dokument"), l.f("put each dialog into a file of its own", "legen Sie für jeden Dialog eine eigene Datei an"))
		return nil
	} else if !errors.Is(err, io.EOF) {
		l.yamlError(data, err)
		return nil
	}
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		return doc.Content[0]
	}
	return &doc
}

func (l *loader) yamlError(data []byte, err error) {
	at := place{1, 1}
	if errors.Is(err, io.EOF) {
		l.bad("syntax", at, l.f("there is nothing but comments", "da stehen nur Kommentare"), l.f("a dialog begins with a line such as: dialog: appointment", "ein Dialog beginnt mit einer Zeile wie: dialog: termin"))
		return
	}
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	lines := strings.Split(string(data), "\n")
	if m := yamlLine.FindStringSubmatch(what); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		if strings.Contains(what, "did not find expected") {
			at.line++ // the library counts from 0 here, and from 1 elsewhere
		}
		at.line = min(max(at.line, 1), len(lines))
		line := lines[at.line-1]
		at.column = utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeft(line, " ")) + 1
		what = strings.TrimPrefix(strings.Replace(what, m[0], "", 1), ": ")
	}
	remedy := l.f("check the indentation and the colons on this line and the one before; texts with : # { } or quotes in them go into double quotes", "prüfen Sie Einrückung und Doppelpunkte in dieser Zeile und der davor; Texte mit : # { } oder Anführungszeichen gehören in doppelte Anführungszeichen")
	switch {
	case strings.Contains(what, "mapping values are not allowed"):
		remedy = l.f("a text with a colon in it goes into double quotes: \"…: …\"", "ein Text mit Doppelpunkt gehört in doppelte Anführungszeichen: \"…: …\"")
	case strings.Contains(what, "unknown anchor"), strings.Contains(what, "alias"):
		remedy = l.f("a text that begins with * or & goes into double quotes", "ein Text, der mit * oder & beginnt, gehört in doppelte Anführungszeichen")
	}
	l.bad("syntax", at, l.f("this is no valid YAML: %s", "das ist kein gültiges YAML: %s", what), remedy)
}

// bounded looks at the whole tree before anything is done with it: no aliases (a few lines of them make gigabytes), no
// merge keys, and neither deep nor large.
func (l *loader) bounded(root *yaml.Node) bool {
	n, ok := 0, true
	var walk func(*yaml.Node, int)
	walk = func(node *yaml.Node, depth int) {
		if n++; !ok {
			return
		}
		switch {
		case n > maxNodes:
			ok = false
			l.bad("syntax", placeOf(node), l.f("there are more than %d values in this file", "in dieser Datei stehen mehr als %d Werte", maxNodes), l.f("split the dialog into sub-dialogs (run:)", "teilen Sie den Dialog in Unter-Dialoge (run:)"))
		case depth > maxDepth:
			ok = false
			l.bad("syntax", placeOf(node), l.f("this lies in more than %d others", "das liegt in mehr als %d anderen", maxDepth), l.f("check the brackets and the indentation", "prüfen Sie Klammern und Einrückung"))
		case node.Kind == yaml.AliasNode || node.Anchor != "" || node.Tag == "!!merge":
			ok = false
			l.bad("syntax", placeOf(node), l.f("anchors and aliases (&, *, <<) are not read", "Anker und Verweise (&, *, <<) werden nicht gelesen"), l.f("write it out; a text that begins with * or & goes into double quotes", "schreiben Sie es aus; ein Text, der mit * oder & beginnt, gehört in doppelte Anführungszeichen"))
		}
		for _, c := range node.Content {
			walk(c, depth+1)
		}
	}
	walk(root, 0)
	return ok
}

func (l *loader) parseJSON(data []byte) *yaml.Node {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	offset := func() int { return int(dec.InputOffset()) } // behind the token that was just read
	fail := func(err error) {
		at, what := offset(), err.Error()
		var syn *json.SyntaxError
		if errors.As(err, &syn) {
			at = max(int(syn.Offset)-1, 0)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			at, what = len(data), l.f("it ends too early", "es endet zu früh")
		}
		l.bad("syntax", position(data, at), l.f("this is no valid JSON: %s", "das ist kein gültiges JSON: %s", what), l.f("check the commas, quotes and brackets before this place", "prüfen Sie Kommas, Anführungszeichen und Klammern vor dieser Stelle"))
	}
	// begin is where the next token begins: the decoder only tells where the last one ended.
	begin := func() place {
		i := offset()
		for i < len(data) && (unicode.IsSpace(rune(data[i])) || data[i] == ',' || data[i] == ':') {
			i++
		}
		return position(data, i)
	}
	var value func(depth int) *yaml.Node
	value = func(depth int) *yaml.Node {
		at := begin()
		if depth > maxDepth {
			l.bad("syntax", at, l.f("this lies in more than %d others", "das liegt in mehr als %d anderen", maxDepth), l.f("check the brackets", "prüfen Sie die Klammern"))
			return nil
		}
		tok, err := dec.Token()
		if err != nil {
			fail(err)
			return nil
		}
		n := &yaml.Node{Line: at.line, Column: at.column}
		scalar := func(tag, v string) *yaml.Node {
			n.Kind, n.Tag, n.Value = yaml.ScalarNode, tag, v
			return n
		}
		switch v := tok.(type) {
		case json.Delim:
			n.Kind = yaml.SequenceNode
			if v == '{' {
				n.Kind = yaml.MappingNode
			}
			for dec.More() {
				if n.Kind == yaml.MappingNode {
					kat := begin()
					key, err := dec.Token()
					if err != nil {
						fail(err)
						return nil
					}
					name, _ := key.(string)
					n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: kat.line, Column: kat.column})
				}
				c := value(depth + 1)
				if c == nil {
					return nil
				}
				n.Content = append(n.Content, c)
			}
			if _, err := dec.Token(); err != nil {
				fail(err)
				return nil
			}
			return n
		case string:
			return scalar("!!str", v)
		case json.Number:
			if strings.ContainsAny(v.String(), ".eE") {
				return scalar("!!float", v.String())
			}
			return scalar("!!int", v.String())
		case bool:
			return scalar("!!bool", strconv.FormatBool(v))
		default:
			return scalar("!!null", "null")
		}
	}
	root := value(0)
	if root == nil {
		return nil
	}
	rest := offset()
	if tail := bytes.TrimSpace(data[rest:]); len(tail) > 0 {
		l.bad("syntax", position(data, rest+bytes.Index(data[rest:], tail[:1])), l.f("something follows after the dialog", "nach dem Dialog folgt noch etwas"), l.f("put each dialog into a file of its own", "legen Sie für jeden Dialog eine eigene Datei an"))
		return nil
	}
	return root
}

// kind names what a node is.
func (l *loader) kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return l.f("a mapping (key: value)", "eine Zuordnung (Schlüssel: Wert)")
	case yaml.SequenceNode:
		return l.f("a list", "eine Liste")
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return l.f("a number", "eine Zahl")
	case "!!bool":
		return l.f("true/false", "wahr/falsch (true/false)")
	case "!!null":
		return l.f("nothing", "nichts")
	case "!!timestamp":
		return l.f("a date", "ein Datum")
	default:
		return l.f("a text", "ein Text")
	}
}

func (l *loader) wrong(n *yaml.Node, path, want string) {
	remedy := l.f("write %s", "schreiben Sie %s", want)
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(want, l.f("a text", "einen Text")) && n.ShortTag() != "!!null" {
		remedy = l.f("put it in quotes: \"%s\"", "setzen Sie es in Anführungszeichen: \"%s\"", clip(n.Value, 40))
	}
	l.bad("structure", placeOf(n), l.f("%s is %s", "%s ist %s", field(path), l.kind(n)), remedy)
}

// field is a path as people read it: "steps[3].ask.text".
func field(path string) string {
	if path == "" {
		return "this"
	}
	var b strings.Builder
	for i, part := range strings.Split(path, ".") {
		if n, err := strconv.Atoi(part); err == nil {
			fmt.Fprintf(&b, "[%d]", n)
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	return b.String()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var (
	wordsType    = reflect.TypeFor[ask.Words]()
	durationType = reflect.TypeFor[ask.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
)

// decode puts a node into a value, strictly. expression: scalars of any type are taken as they are written (CEL).
func (l *loader) decode(n *yaml.Node, v reflect.Value, path, name string, expression bool) {
	if _, ok := l.places[path]; !ok {
		l.places[path] = placeOf(n)
	}
	text := l.f("a text", "einen Text")
	switch v.Type() {
	case wordsType:
		if n.Kind == yaml.MappingNode {
			type plain ask.Words
			var w plain
			l.decode(n, reflect.ValueOf(&w).Elem(), path, name, false)
			v.Set(reflect.ValueOf(ask.Words(w)))
			return
		}
		if !isText(n) {
			l.wrong(n, path, text)
			return
		}
		v.Field(0).SetString(n.Value)
		return
	case durationType:
		if n.Kind != yaml.ScalarNode {
			l.wrong(n, path, l.f("a duration such as 90m, 36h or 3d", "eine Dauer wie 90m, 36h oder 3d"))
			return
		}
		d, err := ask.ParseDuration(n.Value)
		if err != nil {
			l.bad("structure", placeOf(n), l.f("%s: %q is no duration", "%s: %q ist keine Dauer", field(path), clip(n.Value, 40)), l.f("write for example 90m, 36h, 3d, 2w or 1d12h", "schreiben Sie zum Beispiel 90m, 36h, 3d, 2w oder 1d12h"))
			return
		}
		v.SetInt(int64(d))
		return
	case timeType:
		t, err := time.Parse(time.RFC3339, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			l.bad("structure", placeOf(n), l.f("%s: %q is no time", "%s: %q ist kein Zeitpunkt", field(path), clip(n.Value, 40)), l.f("write for example 2026-11-26T14:30:00+01:00", "schreiben Sie zum Beispiel 2026-11-26T14:30:00+01:00"))
			return
		}
		v.Set(reflect.ValueOf(t))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		// A key alone ("end:") is an empty mapping where that is enough.
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && v.Type().Elem().Kind() == reflect.Struct {
			v.Set(p)
			return
		}
		l.decode(n, p.Elem(), path, name, expression)
		v.Set(p)
	case reflect.Struct:
		l.decodeStruct(n, v, path)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			if v.Type().Elem() == wordsType {
				l.bad("structure", placeOf(n), l.f("%s is %s, not a text in each language", "%s ist %s, nicht ein Text je Sprache", field(path), l.kind(n)), l.f("write %s: {de: \"…\", en: \"…\"}", "schreiben Sie %s: {de: \"…\", en: \"…\"}", name))
				return
			}
			l.wrong(n, path, l.f("a mapping (key: value)", "eine Zuordnung (Schlüssel: Wert)"))
			return
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if !l.key(key) {
				continue
			}
			if v.MapIndex(reflect.ValueOf(key.Value)).IsValid() {
				l.twice(key, n)
				continue
			}
			e := reflect.New(v.Type().Elem()).Elem()
			l.decode(value, e, join(path, key.Value), key.Value, expression)
			v.SetMapIndex(reflect.ValueOf(key.Value), e)
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			l.wrong(n, path, l.f("a list (each entry on a line with \"- \")", "eine Liste (jeder Eintrag in einer Zeile mit „- “)"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			l.decode(c, v.Index(i), join(path, strconv.Itoa(i)), name, expression)
		}
	case reflect.String:
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" && (expression || isText(n)) {
			v.SetString(n.Value)
			return
		}
		l.wrong(n, path, text)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			l.wrong(n, path, l.f("true or false, without quotes", "true oder false, ohne Anführungszeichen"))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
			l.wrong(n, path, l.f("a whole number, without quotes", "eine ganze Zahl, ohne Anführungszeichen"))
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || (tag != "!!int" && tag != "!!float") || err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			l.wrong(n, path, l.f("a number with a point (12.5), without quotes", "eine Zahl mit Punkt (12.5), ohne Anführungszeichen"))
			return
		}
		v.SetFloat(f)
	case reflect.Interface:
		if x := l.plain(n); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	}
}

// plain reads any value: the default of an input.
func (l *loader) plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if l.key(n.Content[i]) {
				m[n.Content[i].Value] = l.plain(n.Content[i+1])
			}
		}
		return m
	case yaml.SequenceNode:
		s := make([]any, len(n.Content))
		for i, c := range n.Content {
			s[i] = l.plain(c)
		}
		return s
	}
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
	return n.Value
}

// isText reports whether a node is a text. A date without quotes is one: nobody quotes "from: 2026-11-26".
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp")
}

func (l *loader) key(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		l.bad("structure", placeOf(n), l.f("a key must be a word", "ein Schlüssel muss ein Wort sein"), l.f("write key: value", "schreiben Sie Schlüssel: Wert"))
		return false
	}
	return true
}

func (l *loader) twice(key, in *yaml.Node) {
	first := key.Line
	for i := 0; i < len(in.Content); i += 2 {
		if in.Content[i].Value == key.Value {
			first = in.Content[i].Line
			break
		}
	}
	l.bad("structure", placeOf(key), l.f("%q is there twice, first on line %d", "%q steht zweimal da, zuerst in Zeile %d", key.Value, first), l.f("keep one of the two", "behalten Sie eines von beiden"))
}

func (l *loader) decodeStruct(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		l.wrong(n, path, l.f("a mapping (key: value)", "eine Zuordnung (Schlüssel: Wert)"))
		return
	}
	fields, names := fieldsOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !l.key(key) {
			continue
		}
		f, ok := fields[key.Value]
		if !ok {
			where := ""
			if path != "" {
				where = l.f(" in %s", " in %s", field(path))
			}
			l.bad("structure", placeOf(key), l.f("unknown field %q%s", "unbekanntes Feld %q%s", clip(key.Value, 40), where), l.didYouMean(key.Value, names))
			continue
		}
		if seen[key.Value] {
			l.twice(key, n)
			continue
		}
		seen[key.Value] = true
		p := join(path, key.Value)
		l.places[p] = placeOf(value)
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" && v.Field(f.index).Kind() != reflect.Pointer && v.Field(f.index).Kind() != reflect.Interface {
			l.bad("structure", placeOf(key), l.f("%s has no value", "%s hat keinen Wert", field(p)), l.f("give it one or leave it out", "geben Sie ihm einen oder lassen Sie es weg"))
			continue
		}
		l.decode(value, v.Field(f.index), p, key.Value, f.expression)
	}
}

type structField struct {
	index      int
	expression bool
}

func fieldsOf(t reflect.Type) (map[string]structField, []string) {
	fields := map[string]structField{}
	var names []string
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if tag == "" || tag == "-" {
			continue
		}
		fields[tag] = structField{i, t.Field(i).Tag.Get("cel") != ""}
		names = append(names, tag)
	}
	return fields, names
}

// clip shortens a text for a message.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)[:n]
	if i := strings.LastIndexByte(string(r), ' '); i > n/2 {
		return string(r)[:i] + " …"
	}
	return string(r) + "…"
}

var (
	keyPattern      = regexp.MustCompile(`^[a-z][a-z0-9-]{0,59}$`)
	stepPattern     = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,59}$`)
	variablePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)
	languagePattern = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)
)

// companions are the fields that belong to each kind of step, beside id and the one that makes it.
var companions = map[string][]string{
	"say":    {"next", "late"},
	"ask":    {"say", "next", "save", "expired", "unclear", "late"},
	"branch": {},
	"set":    {"next"},
	"call":   {"next", "save", "failed"},
	"wait":   {"next", "wrote"},
	"hand":   {},
	"run":    {"next", "save", "with", "out"},
	"end":    {},
}

// structure checks what the types cannot say, and schema.json does.
func (l *loader) structure(p *Program) {
	bad := func(path, message, remedy string) {
		l.bad("structure", l.at(path), message, remedy)
	}
	pattern := func(path, value, what string, re *regexp.Regexp, example string) {
		if !re.MatchString(value) {
			bad(path, l.f("%s: %q is no %s", "%s: %q ist kein(e) %s", field(path), clip(value, 40), what), l.f("small letters, digits and - (steps, variables: _), beginning with a letter, such as %s", "Kleinbuchstaben, Ziffern und - (Schritte, Variablen: _), mit einem Buchstaben am Anfang, etwa %s", example))
		}
	}
	need := func(have bool, path, name, example string) bool {
		if !have {
			if _, there := l.places[join(path, name)]; there && len(l.findings) > 0 {
				return false // told already
			}
			bad(path, l.f("%s is missing", "%s fehlt", field(join(path, name))), l.f("add it, such as %s", "fügen Sie es hinzu, etwa %s", example))
		}
		return have
	}
	if need(p.Key != "", "", "dialog", "dialog: appointment") {
		pattern("dialog", p.Key, l.f("key of a dialog", "Schlüssel eines Dialogs"), keyPattern, "appointment")
	}
	need(len(p.Title) > 0, "", "title", "title: {de: \"Termin\", en: \"Appointment\"}")
	if need(len(p.Languages) > 0, "", "languages", "languages: [de, en]") {
		for i, tag := range p.Languages {
			at := "languages." + strconv.Itoa(i)
			if !languagePattern.MatchString(tag) {
				bad(at, l.f("%q is no language", "%q ist keine Sprache", clip(tag, 20)), l.f("write a tag such as de, en, de-simple or fr", "schreiben Sie ein Kürzel wie de, en, de-simple oder fr"))
			}
			if slices.Contains(p.Languages[:i], tag) {
				bad(at, l.f("%q is there twice", "%q steht zweimal da", tag), l.f("keep one of the two", "behalten Sie eines von beiden"))
			}
		}
	}
	names := map[string]bool{}
	for i, in := range p.Inputs {
		at := "inputs." + strconv.Itoa(i)
		if need(in.Name != "", at, "name", "name: customer_number") {
			pattern(at+".name", in.Name, l.f("name of a variable", "Name einer Variablen"), variablePattern, "customer_number")
		}
		if names[in.Name] {
			bad(at+".name", l.f("input %q is there twice", "die Eingabe %q steht zweimal da", in.Name), l.f("keep one of the two", "behalten Sie eines von beiden"))
		}
		names[in.Name] = true
		if need(in.Type != "", at, "type", "type: text") && !slices.Contains(inputTypes, in.Type) {
			bad(at+".type", l.f("%q is no type", "%q ist kein Typ", clip(in.Type, 40)), l.didYouMean(in.Type, inputTypes))
		}
	}
	for i, name := range p.Outputs {
		pattern("outputs."+strconv.Itoa(i), name, l.f("name of a variable", "Name einer Variablen"), variablePattern, "slot")
	}
	for i, w := range p.Start {
		if strings.TrimSpace(w) == "" || utf8.RuneCountInString(w) > 60 {
			bad("start."+strconv.Itoa(i), l.f("a word to start with must have 1 to 60 characters", "ein Wort zum Starten muss 1 bis 60 Zeichen haben"), l.f("write for example Termin", "schreiben Sie zum Beispiel Termin"))
		}
	}
	if !need(len(p.Steps) > 0, "", "steps", "steps: [{id: hello, say: {de: \"Guten Tag\", en: \"Good day\"}}]") {
		return
	}
	if len(p.Steps) > maxSteps {
		bad("steps", l.f("there are %d steps; %d is the most", "das sind %d Schritte; %d ist das Höchste", len(p.Steps), maxSteps), l.f("split the dialog into sub-dialogs (run:)", "teilen Sie den Dialog in Unter-Dialoge (run:)"))
	}
	ids := map[string]int{}
	for i := range p.Steps {
		s := &p.Steps[i]
		at := "steps." + strconv.Itoa(i)
		if need(s.ID != "", at, "id", "id: greeting") {
			pattern(at+".id", s.ID, l.f("id of a step", "Kennung eines Schritts"), stepPattern, "ask-date")
			if first, twice := ids[s.ID]; twice {
				bad(at+".id", l.f("step %q is there twice, first on line %d", "den Schritt %q gibt es zweimal, zuerst in Zeile %d", s.ID, first), l.f("give one of them another id, and check what leads to it", "geben Sie einem eine andere Kennung, und prüfen Sie, was dorthin führt"))
			} else {
				ids[s.ID] = l.at(at).line
			}
		}
		l.step(s, at, bad, need)
	}
}

var inputTypes = []string{"text", "number", "yes_no", "date", "date_time", "list"}

func (l *loader) at(path string) place { return (&Program{places: l.places}).at(path) }

func (l *loader) step(s *Step, at string, bad func(path, message, remedy string), need func(bool, string, string, string) bool) {
	kinds := s.kinds()
	switch {
	case len(kinds) == 0:
		for _, k := range []string{"say", "ask", "branch", "set", "call", "wait", "hand", "run", "end"} {
			if _, there := l.places[at+"."+k]; there && len(l.findings) > 0 {
				return // its content is wrong, which was told
			}
		}
		bad(at, l.f("step %q does nothing", "der Schritt %q tut nichts", s.ID), l.f("give it one of say, ask, branch, set, call, wait, hand, run and end", "geben Sie ihm eines von say, ask, branch, set, call, wait, hand, run und end"))
		return
	case len(kinds) > 1 || (s.Say != nil && s.Ask == nil && kinds[0] != "say"):
		bad(at, l.f("step %q does several things: %s", "der Schritt %q tut mehreres: %s", s.ID, strings.Join(kinds, ", ")), l.f("make a step of each; only say may stand before ask", "machen Sie aus jedem einen Schritt; nur say darf vor ask stehen"))
		return
	}
	kind := kinds[0]
	_, names := fieldsOf(reflect.TypeFor[Step]())
	for _, name := range names {
		if name == "id" || name == kind || slices.Contains(companions[kind], name) {
			continue
		}
		if at2, there := l.places[at+"."+name]; there && at2.line > 0 {
			bad(at+"."+name, l.f("%q does not belong to a step with %s", "%q gehört nicht zu einem Schritt mit %s", name, kind), l.f("leave it out; with %s go: %s", "lassen Sie es weg; zu %s gehören: %s", kind, strings.Join(companions[kind], ", ")))
		}
	}
	if s.Save != "" && !variablePattern.MatchString(s.Save) {
		bad(at+".save", l.f("save: %q is no name of a variable", "save: %q ist kein Name einer Variablen", clip(s.Save, 40)), l.f("small letters, digits and _, beginning with a letter, such as new_date", "Kleinbuchstaben, Ziffern und _, mit einem Buchstaben am Anfang, etwa neues_datum"))
	}
	for _, m := range []struct {
		name string
		in   map[string]string
	}{{"set", s.Set}, {"out", s.Out}, {"with", s.With}} {
		for name := range m.in {
			if !variablePattern.MatchString(name) {
				bad(at+"."+m.name+"."+name, l.f("%s: %q is no name of a variable", "%s: %q ist kein Name einer Variablen", m.name, clip(name, 40)), l.f("small letters, digits and _, beginning with a letter, such as new_date", "Kleinbuchstaben, Ziffern und _, mit einem Buchstaben am Anfang, etwa neues_datum"))
			}
		}
	}
	if s.Late != "" && s.Late != "elsewhere" && (!strings.HasPrefix(s.Late, "template:") || len(s.Late) == len("template:")) {
		bad(at+".late", l.f("late: %q is not known", "late: %q ist nicht bekannt", clip(s.Late, 40)), l.f("write elsewhere, or template:NAME with the name of an approved template", "schreiben Sie elsewhere, oder template:NAME mit dem Namen einer freigegebenen Vorlage"))
	}
	switch kind {
	case "ask":
		if need(s.Ask.Kind != "", at+".ask", "kind", "kind: yes_no") && !slices.Contains(ask.Kinds(), s.Ask.Kind) {
			var kinds []string
			for _, k := range ask.Kinds() {
				kinds = append(kinds, string(k))
			}
			bad(at+".ask.kind", l.f("%q is no kind of question", "%q ist keine Art von Frage", clip(string(s.Ask.Kind), 40)), l.didYouMean(string(s.Ask.Kind), kinds))
		}
		need(len(s.Ask.Text) > 0, at+".ask", "text", "text: {de: \"Wann passt es Ihnen?\", en: \"When would it suit you?\"}")
	case "say":
		if len(s.Say) == 0 {
			bad(at+".say", l.f("nothing is said", "es wird nichts gesagt"), l.f("write say: {de: \"…\", en: \"…\"}", "schreiben Sie say: {de: \"…\", en: \"…\"}"))
		}
	case "branch":
		if len(s.Branch) == 0 {
			bad(at+".branch", l.f("the branch has no way out", "die Verzweigung hat keinen Weg hinaus"), l.f("write for example branch: [{if: \"…\", to: one}, {to: other}]", "schreiben Sie zum Beispiel branch: [{if: \"…\", to: eins}, {to: anderes}]"))
		}
		for i, c := range s.Branch {
			need(c.To != "", at+".branch."+strconv.Itoa(i), "to", "to: goodbye")
		}
	case "set":
		if len(s.Set) == 0 {
			bad(at+".set", l.f("nothing is set", "es wird nichts gesetzt"), l.f("write for example set: {count: 0}", "schreiben Sie zum Beispiel set: {anzahl: 0}"))
		}
	case "call":
		need(s.Call.URL != "", at+".call", "url", "url: https://example.org/api")
		if m := s.Call.Method; m != "" && !slices.Contains(methods, m) {
			bad(at+".call.method", l.f("%q is no method", "%q ist keine Methode", clip(m, 40)), l.didYouMean(m, methods))
		}
	case "wait":
		n := 0
		for _, name := range []string{"for", "until", "open"} {
			if _, there := l.places[at+".wait."+name]; there {
				n++
			}
		}
		if n != 1 {
			bad(at+".wait", l.f("a wait needs exactly one of for, until and open", "ein Warten braucht genau eines von for, until und open"), l.f("write for example wait: {for: 3d}, or wait: {until: \"slot - duration('24h')\", most: 60d}", "schreiben Sie zum Beispiel wait: {for: 3d} oder wait: {until: \"slot - duration('24h')\", most: 60d}"))
		}
	}
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
