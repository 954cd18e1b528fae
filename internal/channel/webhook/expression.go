package webhook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Bounds of expressions: nothing that an operator writes, nor what a stranger sends to it, may cost more than a blink.
const (
	maxExpression = 4 << 10   // characters
	maxCost       = 200_000   // CEL's own measure
	maxMemory     = 200_000   // elements, in expressions that build lists
	maxBuilt      = 256 << 10 // bytes of a text that a function makes
	maxNodes      = 50_000    // of a value that leaves an expression
	maxDepth      = 32
)

// expression is a compiled CEL expression of the settings.
type expression struct {
	key  string // where it stands, such as "receive.text"
	text string
	prog cel.Program
	path []string // it only reaches for this: item.user.id
}

// names are what expressions of one kind may use, in the order in which help names them.
type names []cel.EnvOption

var (
	textMap = cel.MapType(cel.StringType, cel.StringType)
	// Of a request that came.
	inbound = []cel.EnvOption{
		cel.Variable("body", cel.DynType), cel.Variable("item", cel.DynType), cel.Variable("header", textMap), cel.Variable("query", textMap),
		cel.Variable("path", cel.StringType), cel.Variable("method", cel.StringType), cel.Variable("raw", cel.StringType), cel.Variable("url", cel.StringType),
	}
	// Of what a signature covers.
	signing = []cel.EnvOption{
		cel.Variable("raw", cel.StringType), cel.Variable("header", textMap), cel.Variable("query", textMap), cel.Variable("url", cel.StringType),
		cel.Variable("path", cel.StringType), cel.Variable("method", cel.StringType), cel.Variable("timestamp", cel.StringType),
	}
	// Of a message that goes out.
	outbound = []cel.EnvOption{
		cel.Variable("message", cel.DynType), cel.Variable("secret", textMap), cel.Variable("api_url", cel.StringType),
	}
	// Of the provider's answer to it.
	answered = append(outbound[:len(outbound):len(outbound)], cel.Variable("status", cel.IntType), cel.Variable("answer", cel.DynType),
		cel.Variable("header", textMap), cel.Variable("raw", cel.StringType))
)

func environment(vars []cel.EnvOption) func() (*cel.Env, error) {
	return sync.OnceValues(func() (*cel.Env, error) {
		opts := append([]cel.EnvOption{
			cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true), cel.OptionalTypes(),
			cel.ParserRecursionLimit(48), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserErrorRecoveryLimit(4),
		}, functions()...)
		return cel.NewEnv(append(opts, vars...)...)
	})
}

var (
	inboundEnv  = environment(inbound)
	signingEnv  = environment(signing)
	outboundEnv = environment(outbound)
	answeredEnv = environment(answered)
)

// functions are those that expressions know beside CEL's own. Their results are bounded, which those of CEL's extension
// for strings are not.
func functions() []cel.EnvOption {
	str, dyn := cel.StringType, cel.DynType
	one := func(name string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_of", []*cel.Type{arg}, result, cel.UnaryBinding(f)))
	}
	member := func(name string, args []*cel.Type, result *cel.Type, f func(args ...ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload(fmt.Sprintf("string_%s_%d", name, len(args)), args, result, cel.FunctionBinding(f)))
	}
	s := func(v ref.Val) string { return string(v.(types.String)) }
	return []cel.EnvOption{
		one("text", dyn, str, func(v ref.Val) ref.Val {
			t, err := text(v)
			if err != nil {
				return types.WrapErr(err)
			}
			return types.String(t)
		}),
		one("json", str, dyn, func(v ref.Val) ref.Val {
			x, err := decodeJSON([]byte(s(v)))
			if err != nil {
				return types.NewErr("json: %v", err)
			}
			return types.DefaultTypeAdapter.NativeToValue(x)
		}),
		one("toJson", dyn, str, func(v ref.Val) ref.Val {
			x, err := native(v)
			if err != nil {
				return types.WrapErr(err)
			}
			b, err := encodeJSON(x)
			if err != nil {
				return types.WrapErr(err)
			}
			return built(string(b))
		}),
		one("digits", str, str, func(v ref.Val) ref.Val {
			return types.String(strings.Map(func(r rune) rune {
				if r < '0' || r > '9' {
					return -1
				}
				return r
			}, s(v)))
		}),
		one("xml", str, str, func(v ref.Val) ref.Val {
			return built(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s(v)))
		}),
		one("urlEncode", str, str, func(v ref.Val) ref.Val { return built(url.QueryEscape(s(v))) }),
		one("base64", str, str, func(v ref.Val) ref.Val {
			return built(base64.StdEncoding.EncodeToString([]byte(s(v))))
		}),
		member("lowerAscii", []*cel.Type{str}, str, func(a ...ref.Val) ref.Val { return built(strings.ToLower(s(a[0]))) }),
		member("upperAscii", []*cel.Type{str}, str, func(a ...ref.Val) ref.Val { return built(strings.ToUpper(s(a[0]))) }),
		member("trim", []*cel.Type{str}, str, func(a ...ref.Val) ref.Val { return types.String(strings.TrimSpace(s(a[0]))) }),
		member("split", []*cel.Type{str, str}, cel.ListType(str), func(a ...ref.Val) ref.Val {
			return types.NewStringList(types.DefaultTypeAdapter, strings.SplitN(s(a[0]), s(a[1]), 1000))
		}),
		member("replace", []*cel.Type{str, str, str}, str, func(a ...ref.Val) ref.Val {
			text, old, with := s(a[0]), s(a[1]), s(a[2])
			if n := strings.Count(text, old); len(text)+n*(len(with)-len(old)) > maxBuilt {
				return tooLong()
			}
			return types.String(strings.ReplaceAll(text, old, with))
		}),
		member("substring", []*cel.Type{str, cel.IntType}, str, func(a ...ref.Val) ref.Val {
			return cutText(s(a[0]), int64(a[1].(types.Int)), math.MaxInt64)
		}),
		member("substring", []*cel.Type{str, cel.IntType, cel.IntType}, str, func(a ...ref.Val) ref.Val {
			return cutText(s(a[0]), int64(a[1].(types.Int)), int64(a[2].(types.Int)))
		}),
		cel.Function("join", cel.MemberOverload("list_join", []*cel.Type{cel.ListType(dyn), str}, str, cel.BinaryBinding(func(l, sep ref.Val) ref.Val {
			var b strings.Builder
			list := l.(traits.Lister)
			for i, it := 0, list.Iterator(); it.HasNext() == types.True; i++ {
				t, err := text(it.Next())
				if err != nil {
					return types.WrapErr(err)
				}
				if i > 0 {
					b.WriteString(s(sep))
				}
				if b.WriteString(t); b.Len() > maxBuilt || i > maxNodes {
					return tooLong()
				}
			}
			return types.String(b.String())
		}))),
	}
}

func tooLong() ref.Val { return types.NewErr("the text gets longer than %d KB", maxBuilt>>10) }

func built(s string) ref.Val {
	if len(s) > maxBuilt {
		return tooLong()
	}
	return types.String(s)
}

// cutText is the characters from..to; positions outside are those of the ends.
func cutText(s string, from, to int64) ref.Val {
	r := []rune(s)
	n := int64(len(r))
	from = min(max(from, 0), n)
	return types.String(string(r[from:min(max(to, from), n)]))
}

// compile compiles an expression of the settings.
func compile(env func() (*cel.Env, error), key, source string) (*expression, error) {
	fail := func(column int, message string) error {
		return fmt.Errorf("%s, column %d: %s in %q", key, max(column, 1), message, short(source))
	}
	if strings.TrimSpace(source) == "" {
		return nil, fmt.Errorf("%s is empty: give an expression or leave the key out", key)
	}
	e, err := env()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	ast, issues := e.Compile(source)
	if issues.Err() != nil {
		list := issues.Errors()
		if len(list) == 0 {
			return nil, fail(1, issues.Err().Error())
		}
		message := strings.TrimPrefix(list[0].Message, "Syntax error: ")
		if strings.HasPrefix(message, "undeclared reference to '") {
			message += "; text needs 'quotes', and the names here are " + known(e)
		}
		column := list[0].Location.Column() + 1
		if line := list[0].Location.Line(); line > 1 {
			return nil, fmt.Errorf("%s, line %d, column %d: %s in %q", key, line, max(column, 1), message, short(source))
		}
		return nil, fail(column, message)
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if loops(source) || strings.Count(source, "+") > 8 {
		// Without a loop each part is worked out once, and what it makes is bounded by what came: no need to count.
		opts = append(opts, cel.CostLimit(maxCost), cel.MemoryLimit(maxMemory))
	}
	prog, err := e.Program(ast, opts...)
	if err != nil {
		return nil, fail(1, err.Error())
	}
	x := &expression{key: key, text: source, prog: prog}
	if pathForm.MatchString(source) {
		x.path = strings.Split(source, ".")
	}
	return x, nil
}

var pathForm = regexp.MustCompile(`^(item|body)(\.[A-Za-z_][A-Za-z0-9_]*)+$`)

// walk follows a path through maps; ok is false where CEL has to say what that means.
func walk(v any, path []string) (out ref.Val, ok bool) {
	for _, name := range path {
		m, isMap := v.(map[string]any)
		if !isMap {
			return nil, false
		}
		if v, ok = m[name]; !ok {
			return nil, true
		}
	}
	switch x := v.(type) {
	case string:
		return types.String(x), true
	case int64:
		return types.Int(x), true
	case bool:
		return types.Bool(x), true
	}
	return types.DefaultTypeAdapter.NativeToValue(v), true
}

// loops reports whether an expression may have a loop; wrongly yes does no harm.
func loops(source string) bool {
	for _, word := range []string{"map", "filter", "all", "exists", "opt"} {
		if strings.Contains(source, word) {
			return true
		}
	}
	return false
}

func known(e *cel.Env) string {
	var list []string
	for _, v := range e.Variables() {
		if t := v.Type(); t != nil && t.Kind() != types.TypeKind {
			list = append(list, v.Name())
		}
	}
	return strings.Join(list, ", ")
}

func short(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

// errMissing is what an expression gives that reaches for something that is not there.
var errMissing = errors.New("it is missing")

// eval works an expression out. What reaches for a key or place that is not there gives errMissing.
func (e *expression) eval(vars cel.Activation) (ref.Val, error) {
	if s, ok := vars.(*scope); ok && e.path != nil {
		root := s.item
		if e.path[0] == "body" {
			root = s.body
		}
		if v, ok := walk(root, e.path[1:]); ok {
			if v == nil {
				return nil, errMissing
			}
			return v, nil
		}
	}
	v, _, err := e.prog.Eval(vars)
	if err != nil {
		if m := err.Error(); strings.HasPrefix(m, "no such key") || strings.HasPrefix(m, "index out of bounds") {
			return nil, errMissing
		}
		return nil, err
	}
	return v, nil
}

// textOf is eval as text; "" where it is missing or null.
func (e *expression) textOf(vars cel.Activation) (string, error) {
	v, err := e.eval(vars)
	if err == errMissing { //nolint:errorlint // our own, never wrapped
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return text(v)
}

// fault names the expression that failed.
func (e *expression) fault(err error) error {
	return fmt.Errorf("%s (%s): %w", e.key, short(e.text), err)
}

// text is a value as text: numbers in digits, null as nothing.
func text(v ref.Val) (string, error) {
	switch x := v.(type) {
	case types.String:
		return clean(string(x)), nil
	case types.Int:
		return strconv.FormatInt(int64(x), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(x), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(x)), nil
	case types.Double:
		return strconv.FormatFloat(float64(x), 'f', -1, 64), nil
	case types.Null:
		return "", nil
	case types.Timestamp:
		return x.UTC().Format(time.RFC3339Nano), nil
	case types.Bytes:
		return clean(string(x)), nil
	case *types.Optional:
		if !x.HasValue() {
			return "", nil
		}
		return text(x.GetValue())
	case *types.Err:
		return "", x
	}
	return "", fmt.Errorf("it is a %s and not a text", typeName(v))
}

func typeName(v ref.Val) string {
	if v == nil || v.Type() == nil {
		return "nothing"
	}
	return v.Type().TypeName()
}

// clean makes a text that can be stored.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// native is a value as encoding/json takes it.
func native(v ref.Val) (any, error) {
	n := 0
	return nativeAt(v, 0, &n)
}

func nativeAt(v ref.Val, depth int, n *int) (any, error) {
	if *n++; *n > maxNodes || depth > maxDepth {
		return nil, errors.New("the value is too large")
	}
	switch x := v.(type) {
	case types.String:
		return string(x), nil
	case types.Int:
		return int64(x), nil
	case types.Uint:
		return uint64(x), nil
	case types.Bool:
		return bool(x), nil
	case types.Double:
		return float64(x), nil
	case types.Null:
		return nil, nil
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(x), nil
	case types.Timestamp:
		return x.UTC().Format(time.RFC3339Nano), nil
	case types.Duration:
		return x.Duration.String(), nil
	case *types.Optional:
		if !x.HasValue() {
			return nil, nil
		}
		return nativeAt(x.GetValue(), depth+1, n)
	case *types.Err:
		return nil, x
	case traits.Mapper:
		out := map[string]any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, err := text(k)
			if err != nil {
				return nil, err
			}
			if out[name], err = nativeAt(x.Get(k), depth+1, n); err != nil {
				return nil, err
			}
		}
		return out, nil
	case traits.Lister:
		out := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			e, err := nativeAt(it.Next(), depth+1, n)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %s cannot be sent", typeName(v))
}

// decodeJSON reads JSON for expressions: whole numbers that fit 64 bits are integers, all other numbers stay the text that
// they were, so that no id is ever rounded; keys whose value is null are left out, so that has() tells what is there.
func decodeJSON(raw []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	if d.More() {
		return nil, errors.New("it is no JSON: something follows it")
	}
	return plain(v), nil
}

func plain(v any) any {
	switch x := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return i
		}
		return string(x)
	case map[string]any:
		for k, e := range x {
			if e == nil {
				delete(x, k)
				continue
			}
			switch e.(type) {
			case string, bool:
			default:
				x[k] = plain(e)
			}
		}
	case []any:
		for i, e := range x {
			x[i] = plain(e)
		}
	}
	return v
}

func encodeJSON(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}
