package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// planned are the kinds that have a name and no driver yet.
var planned = []channel.Kind{"portal", "voice", "twilio-voice", "letter", "fax", "visit", "video", "form", "review"}

// WriteChannelDocs writes the pages of docs/channels into a directory: the table of kinds and what they can do, all
// settings, and each kind's guide.
func WriteChannelDocs(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the pages about channels: %w", err)
	}
	for name, content := range channelDocs(Drivers()) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // public pages
			return fmt.Errorf("write the pages about channels: %w", err)
		}
	}
	return nil
}

// channelDocs are the pages by their file names.
func channelDocs(drivers []channel.Driver) map[string][]byte {
	var table, settings bytes.Buffer
	pages := map[string][]byte{}
	const made = "<!-- Made by `make docs-channels` from the drivers: change those. -->\n\n"
	table.WriteString("# Channels\n\n" + made + "What each kind of channel can carry, as the drivers say it. \"–\" means that it cannot, or that there is no limit known. " +
		"Each kind's page says what to click at the provider; [settings.md](settings.md) lists all settings.\n\n" +
		"- **Text**: longest text of one message; longer ones are split. **Choices**: native buttons, and rows of a native list; without them options are numbered.\n" +
		"- **Window**: how long after the customer's last message the company may answer freely. **Write first**: it may write to somebody who never wrote.\n" +
		"- **Sends once**: the provider refuses the same message a second time. **Reconciles**: it can be asked what became of a message.\n" +
		"- **Link carries**: what of a link on the contact page comes back when a customer opens the chat.\n" +
		"- **Comes by**: the provider calls our webhook, or we listen there. **Pace**: least time between messages of the account, and to one address.\n\n" +
		"| kind | text | choices | list | files out | files in | quotes | edits | delivered | read | window | templates | write first | sends once | reconciles | link carries | comes by | pace |\n" +
		"|" + strings.Repeat("---|", 18) + "\n")
	settings.WriteString("# Settings of channels\n\n" + made + "The keys of `rufweite channel add --kind KIND --set key=value`, under the provider's own names. Secrets are kept encrypted.\n")
	for _, d := range drivers {
		c := d.Capabilities()
		kind := string(d.Kind())
		name := fmt.Sprintf("%s (`%s`)", d.Title().EN, kind)
		if g, ok := d.(interface{ Guide() string }); ok {
			pages[kind+".md"] = []byte(g.Guide())
			name = fmt.Sprintf("[%s](%s.md) (`%s`)", d.Title().EN, kind, kind)
		}
		_, reconciles := d.(channel.Reconciler)
		row := []string{name, size(c), number(c.Buttons), number(c.ListRows), files(c), yes(c.Upload), yes(c.Quote), yes(c.Edits), yes(c.Delivered), yes(c.Read), window(c),
			yes(c.Templates), yes(c.WriteFirst), yes(c.Idempotent), yes(reconciles), carries(d), ways(d), pace(d)}
		table.WriteString("| " + strings.Join(row, " | ") + " |\n")

		fmt.Fprintf(&settings, "\n## %s (`%s`)\n\n| key | needed | secret | default or values | what it is |\n|---|---|---|---|---|\n", d.Title().EN, kind)
		for _, s := range d.Settings() {
			usual := s.Default
			if len(s.Values) > 0 {
				if usual != "" {
					usual += "; "
				}
				usual += "one of " + strings.Join(s.Values, ", ")
			}
			fmt.Fprintf(&settings, "| `%s` | %s | %s | %s | %s |\n", s.Key, yes(s.Required), yes(s.Secret), cell(usual), cell(s.Help.EN))
		}
	}
	for _, kind := range planned {
		table.WriteString("| `" + string(kind) + "`: not built yet |" + strings.Repeat(" |", 17) + "\n")
	}
	pages["README.md"], pages["settings.md"] = table.Bytes(), settings.Bytes()
	return pages
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	if s = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(strings.TrimSpace(s)); s == "" {
		return "–"
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "–"
}

func number(n int) string {
	if n == 0 {
		return "–"
	}
	return strconv.Itoa(n)
}

func size(c channel.Capabilities) string {
	if c.TextMax == 0 {
		return "–"
	}
	unit := map[channel.Unit]string{channel.UTF16: "UTF-16 units", channel.Bytes: "bytes"}[c.TextUnit]
	if unit == "" {
		unit = "characters"
	}
	return strconv.Itoa(c.TextMax) + " " + unit
}

func files(c channel.Capabilities) string {
	switch {
	case !c.Attachments:
		return "–"
	case c.AttachmentMax == 0:
		return "yes"
	case c.AttachmentMax < 1<<20:
		return fmt.Sprintf("%d KB", c.AttachmentMax>>10)
	}
	return fmt.Sprintf("%d MB", c.AttachmentMax>>20)
}

func window(c channel.Capabilities) string {
	if c.Window == 0 {
		return "–"
	}
	s := span(c.Window)
	if c.StaffWindow > 0 {
		s += ", persons " + span(c.StaffWindow)
	}
	return s
}

func span(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}

func carries(d channel.Driver) string {
	l, ok := d.(channel.Linker)
	if !ok {
		return "–"
	}
	a := channel.Account{ID: "0193a1b2-0000-7000-8000-000000000001", Kind: d.Kind(), Settings: channel.Settings{}}
	for _, s := range d.Settings() {
		if a.Settings[s.Key] = s.Default; s.Default == "" && len(s.Values) == 0 {
			a.Settings[s.Key] = "49301234567"
		}
	}
	switch _, what := l.Link(a, channel.Opening{Token: "abc", Text: "abc"}); what {
	case channel.CarriesToken:
		return "token"
	case channel.CarriesText:
		return "text"
	}
	return "nothing"
}

func ways(d channel.Driver) string {
	var out []string
	if _, ok := d.(channel.Webhook); ok {
		out = append(out, "webhook")
	}
	if _, ok := d.(channel.Listener); ok {
		out = append(out, "listens")
	}
	if len(out) == 0 {
		return "–"
	}
	return strings.Join(out, ", ")
}

func pace(d channel.Driver) string {
	p, ok := d.(channel.Paced)
	if !ok {
		return "–"
	}
	account, address := p.Pace()
	if account == 0 && address == 0 {
		return "–"
	}
	s := fmt.Sprintf("%s, %s", account.Round(100*time.Microsecond), address)
	if l, ok := d.(channel.Lender); ok && l.Burst() > 1 {
		s += fmt.Sprintf(" (%d at once)", l.Burst())
	}
	return s
}
