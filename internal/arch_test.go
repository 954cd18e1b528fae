// Package internal_test keeps the house in order: which room may know which, who may reach around the organisation's
// scope, whose table is whose. It reads the source instead of the build, so that no build tag hides anything.
package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rufweite/rufweite"

// rooms is the list of architecture.md, from the ground up: a room may import those before it, never one after it.
var rooms = strings.Fields(`
	db blob vault fetch jobs live channel org account
	trust auth customer staff
	touchpoint conversation search promise
	reach contact outbox ask dialog
	intake
	chat
	journey insight improve
	api sim app
	bench`)

// leaves know these rooms and nothing else of ours.
var leaves = map[string][]string{
	"channel": nil,
	"blob":    nil,
	"vault":   nil,
	"fetch":   nil,
	"journey": {"touchpoint"},
	"insight": {"touchpoint"},
}

// lookups says which room may ask across organisations, and for what. It is the whole list: whoever adds a line here
// makes a query that no organisation's scope protects.
var lookups = map[string][]string{
	"account": {"LookupChannel"},
	"app":     {"LookupMetrics"},
	"ask":     {"LookupCode", "LookupTimers"},
	"auth":    {"LookupInvite", "LookupSession", "LookupSetup", "LookupToken", "LookupUser"},
	"dialog":  {"LookupTimers"},
	"intake":  {"LookupPending"},
	"org":     {"LookupOrgs"},
	"outbox":  {"LookupDue"},
}

// tables says which room's SQL may name a table. Tables of River (river_…) belong to jobs.
var tables = map[string]string{
	"installation": "db", "feed": "db", "feed_head": "db",
	"org": "org", "unit": "org",
	"staff": "auth", "session": "auth", "token": "auth", "invite": "auth",
	"idempotency": "api",
	"channel":     "account", "channel_state": "account", "channel_template": "account",
	"intake_raw": "intake", "intake_event": "intake", "intake_count": "intake", "assessment": "intake",
	"customer": "customer", "address": "customer", "address_alias": "customer",
	"conversation": "conversation", "conversation_address": "conversation", "conversation_read": "conversation", "message": "conversation",
	"message_history": "conversation", "message_source": "conversation", "attachment": "conversation", "draft": "conversation", "reply_token": "conversation",
	"participant": "conversation", "conversation_tag": "conversation", "mention": "conversation", "matter_number": "conversation",
	"view": "staff", "text_block": "staff", "preference": "staff",
	"search_state": "search", "search_doc": "search", "search_head": "search", "search_text": "search",
	"delivery": "outbox", "delivery_part": "outbox",
	"handover": "reach", "handover_miss": "reach",
	"contact_way": "contact", "contact_hours": "contact", "contact_use": "contact",
	"delivery_choice": "outbox", "ask": "ask", "ask_code": "ask", "calendar": "ask", "calendar_slot": "ask",
	"dialog": "dialog", "dialog_version": "dialog", "dialog_instance": "dialog",
	"chat_session": "chat", "chat_mail": "chat",
}

// guests name a table of another room all the same. The first ones have a reason; the others are debts, and the list
// must not grow: a function of the owner belongs in their place.
var guests = map[string]string{
	"db: org":            "db makes the first organisation",
	"auth: installation": "the set-up token is looked for before there is an organisation",
	"intake: org":        "the look-up of organisations with work",
	"app: org":           "a count for /metrics",
	"auth: idempotency":  "swept together with sessions",
	"intake: channel":    "balance names the channels in the one snapshot in which it counts",

	"api: staff":        "debt: is there an owner already",
	"app: conversation": "debt: doctor counts conversations",
	"outbox: message":   "debt: position of a message, for what was read up to it",
}

type file struct {
	path string // relative to internal/
	room string // "db", "channel/email" …
	test bool
	ast  *ast.File
	set  *token.FileSet
}

func source(t *testing.T) []file {
	t.Helper()
	var out []file
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || filepath.Dir(path) == "." {
			return nil
		}
		a, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, file{path, filepath.ToSlash(filepath.Dir(path)), strings.HasSuffix(path, "_test.go"), a, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 50 {
		t.Fatalf("found only %d files: is this test in internal/?", len(out))
	}
	return out
}

// outside reports whether the file tests its room from outside, in the whole house (package api_test): it may know
// everything. Not so beside a driver, which is tried against its simulator alone.
func (f file) outside() bool {
	return f.test && strings.HasSuffix(f.ast.Name.Name, "_test") && !strings.HasPrefix(f.room, "channel/")
}

func (f file) at(n ast.Node) string { return "internal/" + f.set.Position(n.Pos()).String() }

// ours gives the path below internal/ of an import of ours; ok is false for others.
func ours(i *ast.ImportSpec) (string, bool) {
	p, err := strconv.Unquote(i.Path.Value)
	if err != nil {
		return "", false
	}
	if rest, ok := strings.CutPrefix(p, module+"/internal/"); ok {
		return rest, true
	}
	if rest, ok := strings.CutPrefix(p, module+"/"); ok {
		return "../" + rest, true
	}
	return "", false
}

func first(path string) string {
	p, _, _ := strings.Cut(path, "/")
	return p
}

// arrow says why from must not import to; "" if it may.
func arrow(from, to string, test bool) string {
	fromRoom, toRoom := first(from), first(to)
	if strings.HasPrefix(to, "../") {
		if to == "../web" && fromRoom == "app" {
			return ""
		}
		return "only app knows the built user interface, and nothing in internal/ knows commands"
	}
	// Tests may use the helpers of any room that they could import, made for them.
	if test && (to == "db/dbtest" || to == "channel/channeltest" || to == "channel/channelsim") {
		to, toRoom = first(to), first(to)
	} else if to == "db/dbtest" || (to == "channel/channeltest" && !strings.HasPrefix(from, "channel/")) {
		return "that is for tests"
	}
	if fromRoom == "channel" && from != "channel" {
		driver := strings.Join(strings.SplitN(from, "/", 3)[:2], "/")
		sim := strings.HasSuffix(from, "sim")
		switch {
		case to == "channel" || (test && to == from): // an external test package
			return ""
		case to == "channel/channelsim" && (sim || from == "channel/channeltest"):
			return ""
		case to == "channel/sms": // how short messages are written: GSM-7, UCS-2, parts
			return ""
		case sim:
			return "a provider's simulator imports package channel and nothing else of ours, least of all the driver that it is to judge"
		case strings.HasPrefix(to, driver+"/") && (test || !strings.HasSuffix(to, "sim")):
			return ""
		default:
			return "a driver imports package channel and its own subpackages, and nothing else of ours"
		}
	}
	if fromRoom == toRoom {
		return ""
	}
	if toRoom == "channel" && to != "channel" && !slices.Contains([]string{"app", "sim", "bench"}, fromRoom) {
		if test && slices.Index(rooms, fromRoom) > slices.Index(rooms, toRoom) {
			return "" // a real driver or simulator as the other side
		}
		return "only app, sim and bench know single channel kinds"
	}
	if know, ok := leaves[fromRoom]; ok && !slices.Contains(know, toRoom) && !test {
		return "it is a leaf: it knows nothing else of ours"
	}
	i, j := slices.Index(rooms, fromRoom), slices.Index(rooms, toRoom)
	switch {
	case i < 0:
		return fmt.Sprintf("there is no room %q in the list: say in internal/arch_test.go where it stands", fromRoom)
	case j < 0:
		return fmt.Sprintf("there is no room %q in the list: say in internal/arch_test.go where it stands", toRoom)
	case j > i:
		return "the arrow points down: declare the function or interface that is needed, and let app connect it"
	}
	return ""
}

func TestArrows(t *testing.T) {
	for _, f := range source(t) {
		if !slices.Contains(rooms, first(f.room)) {
			t.Errorf("internal/%s: room %q is not in the list: say in internal/arch_test.go where it stands", f.path, first(f.room))
		}
		if f.outside() {
			continue
		}
		for _, i := range f.ast.Imports {
			if to, ok := ours(i); ok {
				if why := arrow(f.room, to, f.test); why != "" {
					t.Errorf("%s: %s must not import %s: %s", f.at(i), f.room, to, why)
				}
			}
		}
	}
}

// The rule itself, tried on arrows that must and must not be.
func TestArrowRule(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test, ok bool
	}{
		{"intake", "conversation", false, true},
		{"conversation", "intake", false, false},
		{"db", "org", false, false},
		{"db", "db/dbtest", true, true},
		{"outbox", "db/dbtest", false, false},
		{"channel", "db", false, false},
		{"channel/email", "channel", false, true},
		{"channel/email", "db", false, false},
		{"channel/email", "fetch", true, false},
		{"channel/email", "channel/telegram", false, false},
		{"channel/email", "channel/email/words", false, true},
		{"channel/email", "channel/email/emailsim", false, false},
		{"channel/email", "channel/email/emailsim", true, true},
		{"channel/email", "channel/channeltest", true, true},
		{"channel/email", "channel/channeltest", false, false},
		{"channel/email/emailsim", "channel/email", false, false},
		{"channel/email/emailsim", "channel/email", true, false},
		{"channel/email/emailsim", "channel", false, true},
		{"channel/channeltest", "channel", false, true},
		{"channel/channeltest", "db", false, false},
		{"channel/channeltest", "channel/channelsim", false, true},
		{"channel/line/linesim", "channel/channelsim", false, true},
		{"channel/line", "channel/channelsim", false, false},
		{"channel/line", "channel/channelsim", true, true},
		{"channel/twilio", "channel/sms", false, true},
		{"intake", "channel/email", false, false},
		{"api", "channel/email", true, true},
		{"db", "channel/email", true, false},
		{"app", "channel/email", false, true},
		{"sim", "channel/telegram/telegramsim", false, true},
		{"journey", "touchpoint", false, true},
		{"journey", "db", false, false},
		{"insight", "conversation", false, false},
		{"app", "../web", false, true},
		{"api", "../web", false, false},
		{"app", "../cmd/rufweite", false, false},
		{"cellar", "db", false, false},
	} {
		if why := arrow(c.from, c.to, c.test); (why == "") != c.ok {
			t.Errorf("%s → %s (test: %t): allowed is %t, want %t %s", c.from, c.to, c.test, why == "", c.ok, why)
		}
	}
}

// Only db.Lookup… constants go to Global, each only in the rooms listed above; only db and jobs reach the engine itself.
func TestScope(t *testing.T) {
	known := map[string]bool{}
	for _, f := range source(t) {
		if f.path == filepath.Join("db", "global.go") {
			for name := range consts(f.ast, "Lookup") {
				known[name] = true
			}
		}
	}
	if len(known) == 0 {
		t.Fatal("no look-ups in internal/db/global.go")
	}
	for room, list := range lookups {
		for _, l := range list {
			if !known[l] {
				t.Errorf("%s may use %s, which internal/db/global.go does not have", room, l)
			}
		}
	}
	calls := 0
	for _, f := range source(t) {
		if first(f.room) == "db" || f.test {
			continue
		}
		dbName, imported := importName(f.ast, module+"/internal/db")
		packages := packageNames(f.ast)
		asArgument := map[ast.Node]bool{}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				s, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if isPackage(s.X, dbName) && s.Sel.Name == "Lookup" && imported {
					t.Errorf("%s: makes a look-up that internal/db/global.go does not list", f.at(n))
				}
				if s.Sel.Name == "Global" || s.Sel.Name == "GlobalRow" {
					calls++
					asArgument[s] = true
					arg, ok := (ast.Expr)(nil), false
					if len(call.Args) > 1 {
						arg = call.Args[1]
					}
					l, isSel := arg.(*ast.SelectorExpr)
					if ok = isSel && isPackage(l.X, dbName) && known[l.Sel.Name]; !ok {
						t.Errorf("%s: the second argument of %s must be one of the look-ups in internal/db/global.go", f.at(n), s.Sel.Name)
					} else if !slices.Contains(lookups[first(f.room)], l.Sel.Name) {
						t.Errorf("%s: %s may not look up %s across organisations; if it must, add it to the list in internal/arch_test.go", f.at(n), f.room, l.Sel.Name)
					}
				}
			}
			s, ok := n.(*ast.SelectorExpr)
			if !ok || !imported {
				return true
			}
			if id, ok := s.X.(*ast.Ident); ok && packages[id.Name] {
				return true // io.Writer and the like
			}
			switch s.Sel.Name {
			case "Native", "Pool", "Writer":
				if first(f.room) != "jobs" {
					t.Errorf("%s: %s reaches around the organisation's scope; only db and jobs may", f.at(n), s.Sel.Name)
				}
			case "Global", "GlobalRow":
				if !asArgument[s] {
					t.Errorf("%s: %s must be called, not passed around", f.at(n), s.Sel.Name)
				}
			}
			return true
		})
	}
	if calls == 0 {
		t.Error("no look-up found: does this test still read the source?")
	}
}

var sqlTable = regexp.MustCompile(`\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)\b`)

// Each room owns its SQL: no string with SQL names another room's table.
func TestTables(t *testing.T) {
	declared, err := filepath.Glob("db/migrations/*.sql")
	if err != nil || len(declared) == 0 {
		t.Fatal("no migrations found", err)
	}
	create := regexp.MustCompile(`CREATE (?:VIRTUAL )?TABLE (?:IF NOT EXISTS )?([a-z_]+)`)
	for _, name := range declared {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range create.FindAllStringSubmatch(string(b), -1) {
			if tables[m[1]] == "" {
				t.Errorf("%s: say in internal/arch_test.go which room owns table %s", name, m[1])
			}
		}
	}
	used := map[string]bool{}
	for _, f := range source(t) {
		room := first(f.room)
		if f.test || room == "bench" { // measures what it did from outside
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			l, ok := n.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return true
			}
			for _, m := range sqlTable.FindAllStringSubmatch(l.Value, -1) {
				owner, known := tables[m[1]]
				if !known || owner == room {
					continue
				}
				key := room + ": " + m[1]
				used[key] = true
				if guests[key] == "" {
					t.Errorf("%s: table %s belongs to %s: call it instead", f.at(n), m[1], owner)
				}
			}
			return true
		})
	}
	for key := range guests {
		if !used[key] {
			t.Errorf("%q is allowed in internal/arch_test.go and not needed any more", key)
		}
	}
}

// consts gives the constants of a type.
func consts(f *ast.File, typ string) map[string]bool {
	out := map[string]bool{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == typ {
				for _, n := range v.Names {
					out[n.Name] = true
				}
			}
		}
	}
	return out
}

func importName(f *ast.File, path string) (string, bool) {
	for _, i := range f.Imports {
		if i.Path.Value == strconv.Quote(path) {
			if i.Name != nil {
				return i.Name.Name, true
			}
			return path[strings.LastIndexByte(path, '/')+1:], true
		}
	}
	return "", false
}

func packageNames(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		name := p[strings.LastIndexByte(p, '/')+1:]
		if i.Name != nil {
			name = i.Name.Name
		}
		out[name] = true
	}
	return out
}

func isPackage(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && name != "" && id.Name == name
}
