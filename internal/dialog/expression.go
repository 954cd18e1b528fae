package dialog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// Bounds of expressions: nothing that an author writes may cost the server more than a blink.
const (
	maxExpression = 4 << 10  // characters
	maxCost       = 100_000  // CEL's own measure
	maxValue      = 64 << 10 // bytes of one variable
)

// builtins are what expressions know beside the dialog's variables.
var builtins = map[string]*cel.Type{
	"customer": cel.MapType(cel.StringType, cel.StringType), // name, first_name, language; "" if unknown
	"company":  cel.StringType,
	"advisor":  cel.StringType,                            // the customer's own; "" if there is none
	"channel":  cel.StringType,                            // the kind of channel that the customer uses now
	"can":      cel.MapType(cel.StringType, cel.BoolType), // what that medium can, see canOf
	"language": cel.StringType,                            // of the customer
}

// reserved are names that no variable may have: the built-in ones, CEL's words and types.
var reserved = func() map[string]bool {
	out := map[string]bool{}
	for name := range builtins {
		out[name] = true
	}
	for _, w := range strings.Fields("in true false null as break const continue else for function if import let loop package namespace return var void while int uint double bool string bytes list map type null_type timestamp duration dyn has all exists exists_one filter size now answered format") {
		out[w] = true
	}
	return out
}()

// The names behind now() and format(x), which no author can write.
const (
	nowVar   = "__now"
	langVar  = "__language"
	zoneVar  = "__zone"
	shownVar = "__shown"
	formatFn = "__format"
)

var hidden = regexp.MustCompile(`\b__`)

var baseEnv = sync.OnceValues(func() (*cel.Env, error) {
	format := func(h cel.MacroExprFactory, _ celast.Expr, args []celast.Expr) (celast.Expr, *cel.Error) {
		if args[0].Kind() == celast.IdentKind {
			return h.NewCall(operators.Index, h.NewIdent(shownVar), h.NewLiteral(types.String(args[0].AsIdent()))), nil
		}
		return h.NewCall(formatFn, args[0], h.NewIdent(langVar), h.NewIdent(zoneVar)), nil
	}
	now := func(h cel.MacroExprFactory, _ celast.Expr, _ []celast.Expr) (celast.Expr, *cel.Error) {
		return h.NewIdent(nowVar), nil
	}
	opts := []cel.EnvOption{
		ext.Strings(), cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserRecursionLimit(64), cel.ParserExpressionSizeLimit(maxExpression), cel.ParserErrorRecoveryLimit(4),
		cel.Macros(cel.GlobalMacro("now", 0, now), cel.GlobalMacro("format", 1, format)),
		cel.Variable(nowVar, cel.TimestampType), cel.Variable(langVar, cel.StringType), cel.Variable(zoneVar, cel.StringType),
		cel.Variable(shownVar, cel.MapType(cel.StringType, cel.StringType)),
		cel.Function("answered", cel.Overload("answered_dyn", []*cel.Type{cel.DynType}, cel.BoolType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Bool(v.Type() != types.NullType) }))),
		cel.Function(formatFn, cel.Overload("format_dyn", []*cel.Type{cel.DynType, cel.StringType, cel.StringType}, cel.StringType,
			cel.FunctionBinding(func(args ...ref.Val) ref.Val {
				v, err := native(args[0])
				if err != nil {
					return types.WrapErr(err)
				}
				zone, err := time.LoadLocation(string(args[2].(types.String)))
				if err != nil {
					zone = time.UTC
				}
				return types.String(showPlain(v, string(args[1].(types.String)), zone))
			}))),
	}
	for name, t := range builtins {
		opts = append(opts, cel.Variable(name, t))
	}
	return cel.NewEnv(opts...)
})

// expression is a compiled CEL expression.
type expression struct {
	text string
	prog cel.Program
	typ  *cel.Type
	uses []use
	yes  []string // variables that are answered if it is true
	no   []string // … if it is false
	bare string   // the whole of it is this variable
}

// use is a variable in an expression.
type use struct {
	name string
	how  useKind
}

type useKind int

const (
	usesValue useKind = iota // its value is worked with: it must be there, and not left out
	usesShown                // it is shown: it must have been asked, and may have been left out
	usesAsked                // answered(x): it need not be there
)

// expressionError is what is wrong with an expression.
type expressionError struct {
	message      string
	line, column int    // in the expression, from 1 on
	unknown      string // a name that is not known
}

func (e *expressionError) Error() string { return e.message }

// engine compiles expressions and keeps what it compiled, by text and by the types of the variables in it.
type engine struct {
	mu     sync.Mutex
	parsed map[string]*parsed
	envs   map[string]*cel.Env
	exprs  map[string]*compiledExpr
}

type parsed struct {
	ast  *cel.Ast
	uses []use
	yes  []string
	no   []string
	bare string
	err  *expressionError
}

type compiledExpr struct {
	expr *expression
	err  *expressionError
}

// The cache is one for the process: the same dialogs are checked again and again (on save, in an editor, in benchmarks).
var expressions = &engine{}

const maxCached = 50_000

func (g *engine) parse(text string) *parsed {
	g.mu.Lock()
	p, ok := g.parsed[text]
	g.mu.Unlock()
	if ok {
		return p
	}
	p = parseExpression(text)
	g.mu.Lock()
	if g.parsed == nil || len(g.parsed) >= maxCached {
		g.parsed = map[string]*parsed{}
	}
	g.parsed[text] = p
	g.mu.Unlock()
	return p
}

func parseExpression(text string) *parsed {
	if strings.TrimSpace(text) == "" {
		return &parsed{err: &expressionError{message: "it is empty", line: 1, column: 1}}
	}
	if i := hidden.FindStringIndex(text); i != nil {
		return &parsed{err: &expressionError{message: "names must not begin with __", line: 1, column: i[0] + 1}}
	}
	env, err := baseEnv()
	if err != nil {
		return &parsed{err: &expressionError{message: err.Error(), line: 1, column: 1}}
	}
	ast, issues := env.Parse(text)
	if issues.Err() != nil {
		return &parsed{err: issueOf(issues)}
	}
	p := &parsed{ast: ast}
	root := ast.NativeRep().Expr()
	if root.Kind() == celast.IdentKind {
		p.bare = root.AsIdent()
	}
	collect(root, nil, nil, usesValue, &p.uses)
	p.yes, p.no = guards(root)
	return p
}

func issueOf(issues *cel.Issues) *expressionError {
	list := issues.Errors()
	if len(list) == 0 {
		return &expressionError{message: issues.Err().Error(), line: 1, column: 1}
	}
	var first *common.Error = list[0]
	return &expressionError{message: strings.TrimPrefix(first.Message, "Syntax error: "), line: max(first.Location.Line(), 1), column: first.Location.Column() + 1}
}

// collect finds the free names of an expression. guarded are variables that were asked about around it with answered(x):
// they are there wherever it matters, because && and || take an error of one side back if the other decides.
func collect(e celast.Expr, bound, guarded []string, how useKind, out *[]use) {
	if e == nil {
		return
	}
	add := func(name string, how useKind) {
		if slices.Contains(bound, name) || strings.HasPrefix(name, "@") {
			return
		}
		if how == usesValue && slices.Contains(guarded, name) {
			how = usesAsked
		}
		if u := (use{name, how}); !slices.Contains(*out, u) {
			*out = append(*out, u)
		}
	}
	in := func(e celast.Expr) { collect(e, bound, guarded, usesValue, out) }
	also := func(names []string, e celast.Expr) {
		collect(e, bound, append(slices.Clone(guarded), names...), usesValue, out)
	}
	switch e.Kind() {
	case celast.IdentKind:
		add(e.AsIdent(), how)
	case celast.SelectKind:
		in(e.AsSelect().Operand())
	case celast.CallKind:
		c := e.AsCall()
		args := c.Args()
		switch c.FunctionName() {
		case operators.Index:
			if len(args) == 2 && args[0].Kind() == celast.IdentKind && args[0].AsIdent() == shownVar && args[1].Kind() == celast.LiteralKind {
				if name, ok := args[1].AsLiteral().(types.String); ok {
					add(string(name), usesShown)
					return
				}
			}
		case "answered":
			if !c.IsMemberFunction() && len(args) == 1 {
				collect(args[0], bound, guarded, usesAsked, out)
				return
			}
		case operators.LogicalAnd, operators.LogicalOr:
			for i, a := range args {
				var names []string
				for j, b := range args {
					if i != j {
						yes, no := guards(b)
						if c.FunctionName() == operators.LogicalOr {
							yes = no
						}
						names = append(names, yes...)
					}
				}
				also(names, a)
			}
			return
		case operators.Conditional:
			if len(args) == 3 {
				yes, no := guards(args[0])
				in(args[0])
				also(yes, args[1])
				also(no, args[2])
				return
			}
		}
		if c.IsMemberFunction() {
			in(c.Target())
		}
		for _, a := range args {
			in(a)
		}
	case celast.ListKind:
		for _, x := range e.AsList().Elements() {
			in(x)
		}
	case celast.MapKind:
		for _, x := range e.AsMap().Entries() {
			in(x.AsMapEntry().Key())
			in(x.AsMapEntry().Value())
		}
	case celast.StructKind:
		for _, x := range e.AsStruct().Fields() {
			in(x.AsStructField().Value())
		}
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		in(c.IterRange())
		in(c.AccuInit())
		inner := append(slices.Clone(bound), c.IterVar(), c.AccuVar())
		if c.HasIterVar2() {
			inner = append(inner, c.IterVar2())
		}
		for _, x := range []celast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
			collect(x, inner, guarded, usesValue, out)
		}
	}
}

// guards tells which variables are answered if a condition is true, and which if it is false.
func guards(e celast.Expr) (yes, no []string) {
	if e == nil || e.Kind() != celast.CallKind {
		return nil, nil
	}
	c := e.AsCall()
	args := c.Args()
	switch c.FunctionName() {
	case "answered":
		if len(args) == 1 && args[0].Kind() == celast.IdentKind {
			return []string{args[0].AsIdent()}, nil
		}
	case operators.LogicalNot:
		if len(args) == 1 {
			yes, no = guards(args[0])
			return no, yes
		}
	case operators.LogicalAnd:
		for _, a := range args {
			y, _ := guards(a)
			yes = append(yes, y...)
		}
	case operators.LogicalOr:
		for _, a := range args {
			_, n := guards(a)
			no = append(no, n...)
		}
	}
	return yes, no
}

// compile type-checks an expression against the types of the dialog's variables. A variable of an unknown type is dyn.
func (g *engine) compile(text string, vars map[string]*cel.Type) (*expression, *expressionError) {
	p := g.parse(text)
	if p.err != nil {
		return nil, p.err
	}
	var names []string
	for _, u := range p.uses {
		if builtins[u.name] != nil || strings.HasPrefix(u.name, "__") || slices.Contains(names, u.name) {
			continue
		}
		if vars[u.name] == nil {
			return nil, &expressionError{message: fmt.Sprintf("unknown variable %q", u.name), line: 1, column: 1, unknown: u.name}
		}
		names = append(names, u.name)
	}
	sort.Strings(names)
	var sig strings.Builder
	for _, n := range names {
		sig.WriteString(n)
		sig.WriteByte(':')
		sig.WriteString(vars[n].String())
		sig.WriteByte(';')
	}
	key := sig.String() + "\x00" + text
	g.mu.Lock()
	done, ok := g.exprs[key]
	env := g.envs[sig.String()]
	g.mu.Unlock()
	if ok {
		return done.expr, done.err
	}
	done = &compiledExpr{}
	done.expr, env, done.err = build(p, text, names, vars, env)
	g.mu.Lock()
	if g.exprs == nil || len(g.exprs) >= maxCached {
		g.exprs, g.envs = map[string]*compiledExpr{}, map[string]*cel.Env{}
	}
	g.exprs[key] = done
	if env != nil {
		g.envs[sig.String()] = env
	}
	g.mu.Unlock()
	return done.expr, done.err
}

func build(p *parsed, text string, names []string, vars map[string]*cel.Type, env *cel.Env) (*expression, *cel.Env, *expressionError) {
	fail := func(err error) *expressionError {
		return &expressionError{message: err.Error(), line: 1, column: 1}
	}
	if env == nil {
		base, err := baseEnv()
		if err != nil {
			return nil, nil, fail(err)
		}
		env = base
		if len(names) > 0 {
			opts := make([]cel.EnvOption, len(names))
			for i, n := range names {
				opts[i] = cel.Variable(n, vars[n])
			}
			if env, err = base.Extend(opts...); err != nil {
				return nil, nil, fail(err)
			}
		}
	}
	ast, issues := env.Check(p.ast)
	if issues.Err() != nil {
		return nil, env, issueOf(issues)
	}
	prog, err := env.Program(ast, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, env, fail(err)
	}
	return &expression{text: text, prog: prog, typ: ast.OutputType(), uses: p.uses, yes: p.yes, no: p.no, bare: p.bare}, env, nil
}

// scope is what an expression sees when it is worked out.
type scope struct {
	vars map[string]Var
	env  *Env
	lang string
}

// ResolveName implements cel.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "customer":
		out := map[string]string{"name": "", "first_name": "", "language": ""}
		for k, v := range s.env.Customer {
			out[k] = v
		}
		return out, true
	case "company":
		return s.env.Company, true
	case "advisor":
		return s.env.Advisor, true
	case "channel":
		return string(s.env.Channel), true
	case "can":
		return canOf(s.env.Medium), true
	case "language":
		return s.env.Language, true
	case nowVar:
		return s.env.Now, true
	case langVar:
		return s.lang, true
	case zoneVar:
		return s.env.zone().String(), true
	case shownVar:
		out := make(map[string]string, len(s.vars))
		for k, v := range s.vars {
			out[k] = v.show(s.lang, s.env.zone())
		}
		return out, true
	}
	v, ok := s.vars[name]
	if !ok || v.Value == nil {
		return types.NullValue, true
	}
	return v.Value, true
}

// Parent implements cel.Activation.
func (s *scope) Parent() cel.Activation { return nil }

// eval works an expression out.
func (x *expression) eval(s *scope) (out any, err error) {
	defer func() {
		if r := recover(); r != nil { // a fault of the library must not take the server down
			err = fmt.Errorf("%s: %v", x.text, r)
		}
	}()
	v, _, err := x.prog.Eval(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.text, err)
	}
	if out, err = native(v); err != nil {
		return nil, fmt.Errorf("%s: %w", x.text, err)
	}
	return out, nil
}

var errTooLarge = errors.New("the value is too large")

// native turns a CEL value into one of ours: nil, bool, int64, float64, string, time.Time, time.Duration, []any,
// map[string]any.
func native(v ref.Val) (any, error) {
	left := maxValue
	return nativeIn(v, &left, 0)
}

func nativeIn(v ref.Val, left *int, depth int) (any, error) {
	if *left -= 8; *left < 0 || depth > 16 {
		return nil, errTooLarge
	}
	switch x := v.(type) {
	case types.Bool:
		return bool(x), nil
	case types.Int:
		return int64(x), nil
	case types.Uint:
		return int64(x), nil
	case types.Double:
		return float64(x), nil
	case types.String:
		if *left -= len(x); *left < 0 {
			return nil, errTooLarge
		}
		return string(x), nil
	case types.Timestamp:
		return x.Time, nil
	case types.Duration:
		return x.Duration, nil
	case types.Null:
		return nil, nil //nolint:nilnil // null is a value
	case traits.Mapper:
		out := map[string]any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, ok := k.(types.String)
			if !ok {
				return nil, fmt.Errorf("a key of a mapping must be a text, not %s", k.Type().TypeName())
			}
			if *left -= len(name); *left < 0 {
				return nil, errTooLarge
			}
			e, err := nativeIn(x.Get(k), left, depth+1)
			if err != nil {
				return nil, err
			}
			out[string(name)] = e
		}
		return out, nil
	case traits.Lister:
		out := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			e, err := nativeIn(it.Next(), left, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	return nil, fmt.Errorf("a value of type %s cannot be kept", v.Type().TypeName())
}

// template is a text with {{ expressions }} in it, taken apart.
type template struct {
	parts []part
}

type part struct {
	text   string
	expr   *expression // nil = text
	offset int         // of the expression in the template, in bytes
	source string
}

// splitTemplate finds the expressions of a text. Braces and quotes inside an expression are understood.
func splitTemplate(text string) (*template, *expressionError) {
	t := &template{}
	rest, at := text, 0
	for {
		i := strings.Index(rest, "{{")
		if i < 0 {
			break
		}
		if i > 0 {
			t.parts = append(t.parts, part{text: rest[:i]})
		}
		end := closing(rest[i+2:])
		if end < 0 {
			line, column := 1+strings.Count(text[:at+i], "\n"), at+i-strings.LastIndexByte(text[:at+i], '\n')
			return nil, &expressionError{message: "{{ is not closed by }}", line: line, column: column}
		}
		source := strings.TrimSpace(rest[i+2 : i+2+end])
		t.parts = append(t.parts, part{source: source, offset: at + i + 2})
		at += i + 2 + end + 2
		rest = rest[i+2+end+2:]
	}
	if rest != "" {
		t.parts = append(t.parts, part{text: rest})
	}
	return t, nil
}

// closing finds the }} that ends an expression.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case c == '}' && i+1 < len(s) && s[i+1] == '}':
			return i
		}
	}
	return -1
}

func isTemplate(text string) bool { return strings.Contains(text, "{{") }

// fill writes the text out. escape, if not nil, makes each value safe for where it stands (a URL).
func (t *template) fill(s *scope, escape func(string) string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		var text string
		if v, ok := s.vars[p.expr.bare]; p.expr.bare != "" && ok {
			if escape != nil {
				text = plainText(v.Value)
			} else {
				text = v.show(s.lang, s.env.zone())
			}
		} else {
			v, err := p.expr.eval(s)
			if err != nil {
				return "", err
			}
			if escape != nil {
				text = plainText(v)
			} else {
				text = showPlain(v, s.lang, s.env.zone())
			}
		}
		if escape != nil {
			text = escape(text)
		}
		if b.Len()+len(text) > maxValue {
			return "", errTooLarge
		}
		b.WriteString(text)
	}
	return b.String(), nil
}
