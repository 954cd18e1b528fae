//go:build real

package real_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// freeAddr gives a loopback address with a free port, below the range from which the kernel takes ports for outgoing
// connections: it stays free until the server binds it.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 50 {
		addr := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(17000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// greets reports whether an SMTP server answers.
func greets(addr string) (bool, string) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false, err.Error()
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 3)
	if _, err := io.ReadFull(c, b); err != nil {
		return false, err.Error()
	}
	_, _ = io.WriteString(c, "QUIT\r\n")
	return string(b) == "220", string(b)
}

// mail is a delivered mail, read with the standard library and not with the code under test.
type mail struct {
	Header netmail.Header
	Text   string // its text/plain
	Raw    []byte
}

func parseMail(t *testing.T, raw []byte) *mail {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("a delivered mail cannot be read: %v\n%s", err, raw)
	}
	text, err := plain(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
	if err != nil {
		t.Fatalf("a delivered mail cannot be read: %v\n%s", err, raw)
	}
	return &mail{m.Header, text, raw}
}

func plain(contentType, encoding string, body io.Reader) (string, error) {
	if contentType == "" {
		contentType = "text/plain"
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(media, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			part, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				return "", nil
			}
			if err != nil {
				return "", err
			}
			text, err := plain(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
			if text != "" || err != nil {
				return text, err
			}
		}
	}
	if media != "text/plain" {
		return "", nil
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	b, err := io.ReadAll(body)
	return string(b), err
}

func (m *mail) address(t *testing.T, header string) *netmail.Address {
	t.Helper()
	list, err := m.Header.AddressList(header)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v %v\n%s", header, list, err, m.Raw)
	}
	return list[0]
}

// A mail handed over by swaks with STARTTLS is on the desk within a second after the 250. The median of five counts, so
// that a busy machine is no failure.
func TestSwaks(t *testing.T) {
	h := open(t)
	h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example")
	var took []time.Duration
	for i := range 5 {
		subject := fmt.Sprintf("Frage zur Rechnung %d", i)
		said := swaks(t, h.smtp, "--tls", "--from", "anna@customer.example", "--to", "service@broker.example",
			"--header", "Subject: "+subject, "--header", `From: "Anna Müller" <anna@customer.example>`, "--add-header", "MIME-Version: 1.0",
			"--add-header", "Content-Type: text/plain; charset=utf-8", "--add-header", "Content-Transfer-Encoding: 8bit", "--body", "Grüße aus Köln")
		accepted := time.Now()
		if !strings.Contains(said, "TLS started with cipher") || !strings.Contains(said, "<~  250") {
			t.Fatalf("swaks did not deliver under TLS:\n%s", said)
		}
		var got conversation
		eventually(t, "the mail is in the list of conversations", 20*time.Second, func() (bool, string) {
			list := h.conversations()
			for _, c := range list {
				if c.Subject == subject {
					got = c
					return true, ""
				}
			}
			return false, fmt.Sprintf("%+v", list)
		})
		took = append(took, time.Since(accepted))
		if got.Status != "open" || got.ChannelKind != "email" || got.Unread != 1 || got.Customer.Name != "Anna Müller" {
			t.Errorf("conversation is %+v", got)
		}
		m := h.messages(got.ID)
		if len(m) != 1 || m[0].Text != "Grüße aus Köln" || m[0].Address != "anna@customer.example" || m[0].Direction != "in" || m[0].Assurance != "claimed" {
			t.Errorf("messages are %+v", m)
		}
	}
	t.Logf("on the desk after %v", took)
	slices.Sort(took)
	if took[2] > time.Second {
		t.Errorf("it took %v until a mail was on the desk (median), want at most a second", took[2])
	}
	if said := h.run("balance"); !strings.Contains(said, "5") {
		t.Errorf("balance says %q", said)
	}
}

// What swaks must be refused: a recipient that is no mailbox of ours, so that this is no open relay.
func TestSwaksRefused(t *testing.T) {
	need(t, "swaks")
	h := open(t)
	h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example")
	host, port, _ := strings.Cut(h.smtp, ":")
	for _, to := range []string{"nobody@broker.example", "someone@elsewhere.example"} {
		out, err := exec.Command("swaks", "--server", host, "--port", port, "--from", "anna@customer.example", "--to", to).CombinedOutput()
		if err == nil || !regexp.MustCompile(`<\*\* 55\d`).Match(out) {
			t.Errorf("a mail to %s was not refused for good: %v\n%s", to, err, out)
		}
	}
	if list := h.conversations(); len(list) != 0 {
		t.Errorf("conversations: %+v", list)
	}
}

// The way there and back through a real mail server: the customer's mail comes from postfix, the answer goes out
// through it to her mailbox with what her mail program needs for the thread, and what she answers, by either of the two
// marks, comes back to the same conversation.
func TestPostfix(t *testing.T) {
	h := open(t)
	pf := startPostfix(t, h.smtp)
	_, port, _ := strings.Cut(pf.addr, ":")
	h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example",
		"--set", "smtp_host=127.0.0.1", "--set", "smtp_port="+port, "--set", "smtp_tls=auto")

	// Anna writes, with a copy to herself, as her sent folder.
	swaks(t, pf.addr, "--tls", "--from", "anna@customer.example", "--to", "service@broker.example,anna@customer.example",
		"--header", "Subject: Hagelschaden", "--header", "From: Anna Müller <anna@customer.example>", "--header", "To: service@broker.example",
		"--header", "Message-Id: <hagel.1@customer.example>", "--body", "Mein Auto hat einen Hagelschaden.")
	var c conversation
	eventually(t, "the mail came through postfix", 20*time.Second, func() (bool, string) {
		list := h.conversations()
		if len(list) == 1 {
			c = list[0]
		}
		return len(list) == 1, fmt.Sprintf("%+v", list)
	})

	// The desk answers.
	const text = "Guten Tag Frau Müller,\n\ndas tut uns leid – wir melden uns bis 17 Uhr.\n\nFrom heute an betreut Sie Herr Öztürk."
	var sent message
	h.call("POST", "/api/v1/conversations/"+c.ID+"/messages", map[string]any{"text": text}, &sent)
	var answer *mail
	eventually(t, "the answer is in the customer's mailbox", 30*time.Second, func() (bool, string) {
		mails := pf.mails(t, "anna")
		for id, m := range mails {
			if id != "<hagel.1@customer.example>" {
				answer = m
			}
		}
		return answer != nil, fmt.Sprintf("%d mails; messages %+v", len(mails), h.messages(c.ID))
	})
	if f := answer.address(t, "From"); f.Address != "service@broker.example" || f.Name == "" {
		t.Errorf("From is %v", f)
	}
	if to := answer.address(t, "To"); to.Address != "anna@customer.example" {
		t.Errorf("To is %v", to)
	}
	replyTo := answer.address(t, "Reply-To").Address
	if !regexp.MustCompile(`^service\+r\.[A-Za-z0-9_-]{10,}@broker\.example$`).MatchString(replyTo) {
		t.Errorf("Reply-To is %q, want a plus-address with a token", replyTo)
	}
	if v := answer.Header.Get("In-Reply-To"); v != "<hagel.1@customer.example>" {
		t.Errorf("In-Reply-To is %q", v)
	}
	if v := strings.Fields(answer.Header.Get("References")); len(v) == 0 || v[len(v)-1] != "<hagel.1@customer.example>" {
		t.Errorf("References is %q", v)
	}
	if v, err := new(mime.WordDecoder).DecodeHeader(answer.Header.Get("Subject")); err != nil || v != "Re: Hagelschaden" {
		t.Errorf("Subject is %q %v", v, err)
	}
	if v := answer.Header.Get("Auto-Submitted"); v != "" && v != "no" {
		t.Errorf("a person's answer says Auto-Submitted: %s", v)
	}
	if v := answer.Header["Received"]; len(v) != 1 || !strings.Contains(v[0], "with ESMTPS") {
		t.Errorf("Received is %q, want one, under TLS", v)
	}
	if d, err := answer.Header.Date(); err != nil || time.Since(d).Abs() > time.Hour {
		t.Errorf("Date is %v %v", d, err)
	}
	if got := strings.ReplaceAll(answer.Text, "\r\n", "\n"); !strings.HasPrefix(got, text) {
		t.Errorf("text is %q", got)
	}
	answerID := answer.Header.Get("Message-Id")
	eventually(t, "the delivery says sent", 10*time.Second, func() (bool, string) {
		m := h.messages(c.ID)
		last := m[len(m)-1]
		return last.ID == sent.ID && last.ExternalID == answerID && last.Delivery != nil && last.Delivery.State == "sent", fmt.Sprintf("%+v %+v", last, last.Delivery)
	})

	threadInMutt(t, pf, answerID)

	// She answers three times: as mail programs do; without the headers, to the plus-address under another subject; with
	// the headers, but to the plain address.
	for i, reply := range [][]string{
		{"--to", replyTo, "--header", "Subject: Re: Hagelschaden", "--add-header", "In-Reply-To: " + answerID, "--add-header", "References: <hagel.1@customer.example> " + answerID},
		{"--to", replyTo, "--header", "Subject: Noch etwas"},
		{"--to", "service@broker.example", "--header", "Subject: AW: Hagelschaden", "--add-header", "In-Reply-To: " + answerID},
	} {
		body := fmt.Sprintf("Danke, Antwort %d", i)
		swaks(t, pf.addr, append([]string{"--tls", "--from", "anna@customer.example", "--header", "From: Anna Müller <anna@customer.example>", "--body", body}, reply...)...)
		eventually(t, fmt.Sprintf("answer %d is in the same conversation", i), 20*time.Second, func() (bool, string) {
			m := h.messages(c.ID)
			last := m[len(m)-1]
			return len(m) == 3+i && last.Text == body && last.Direction == "in", fmt.Sprintf("%+v\nall: %+v", m, h.conversations())
		})
	}
	if list := h.conversations(); len(list) != 1 {
		t.Errorf("there are %d conversations, want one: %+v", len(list), list)
	}

	// The second answer of the desk hangs below the last that she wrote, with the whole chain.
	h.call("POST", "/api/v1/conversations/"+c.ID+"/messages", map[string]any{"text": "Gern."}, nil)
	eventually(t, "the second answer is in the mailbox with the chain of references", 30*time.Second, func() (bool, string) {
		seen := ""
		for id, m := range pf.mails(t, "anna") {
			if id == "<hagel.1@customer.example>" || id == answerID {
				continue
			}
			refs := strings.Fields(m.Header.Get("References"))
			seen = fmt.Sprintf("%v %v", refs, m.Header.Get("In-Reply-To"))
			return len(refs) > 1 && slices.Contains(refs, answerID) && refs[len(refs)-1] == m.Header.Get("In-Reply-To") && refs[len(refs)-1] != answerID, seen
		}
		return false, seen
	})
}

// Somebody else who got hold of the reply address does not get into the conversation.
func TestForeignReply(t *testing.T) {
	h := open(t)
	pf := startPostfix(t, h.smtp)
	_, port, _ := strings.Cut(pf.addr, ":")
	h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example", "--set", "smtp_host=127.0.0.1", "--set", "smtp_port="+port)
	swaks(t, pf.addr, "--from", "anna@customer.example", "--to", "service@broker.example", "--header", "Subject: Vertrag", "--body", "Frage")
	var c conversation
	eventually(t, "the mail came", 20*time.Second, func() (bool, string) {
		list := h.conversations()
		if len(list) == 1 {
			c = list[0]
		}
		return len(list) == 1, ""
	})
	h.call("POST", "/api/v1/conversations/"+c.ID+"/messages", map[string]any{"text": "Vertraulich"}, nil)
	var answer *mail
	eventually(t, "the answer came", 30*time.Second, func() (bool, string) {
		for _, m := range pf.mails(t, "anna") {
			answer = m
		}
		return answer != nil, ""
	})
	swaks(t, pf.addr, "--from", "mallory@elsewhere.example", "--to", answer.address(t, "Reply-To").Address, "--header", "Subject: Re: Vertrag",
		"--add-header", "In-Reply-To: "+answer.Header.Get("Message-Id"), "--body", "Ich bin Anna")
	eventually(t, "a conversation of its own", 20*time.Second, func() (bool, string) {
		list := h.conversations()
		return len(list) == 2, fmt.Sprintf("%+v", list)
	})
	if m := h.messages(c.ID); len(m) != 2 {
		t.Errorf("the conversation has %d messages, want 2: %+v", len(m), m)
	}
}

// An answer to a mailbox that does not exist fails, with postfix's words; it is neither sent nor uncertain.
func TestPostfixUnknownMailbox(t *testing.T) {
	h := open(t)
	pf := startPostfix(t, h.smtp)
	_, port, _ := strings.Cut(pf.addr, ":")
	ch := h.run("channel", "add", "--kind", "email", "--name", "Service", "--set", "address=service@broker.example", "--set", "smtp_host=127.0.0.1", "--set", "smtp_port="+port)
	var c conversation
	h.call("POST", "/api/v1/conversations", map[string]any{"address": "gone@customer.example", "channel_id": ch, "subject": "Ihr Angebot", "text": "Guten Tag"}, &c)
	eventually(t, "the delivery failed", 20*time.Second, func() (bool, string) {
		m := h.messages(c.ID)
		if len(m) == 0 || m[len(m)-1].Delivery == nil {
			return false, fmt.Sprintf("%+v", m)
		}
		d := m[len(m)-1].Delivery
		return d.State == "failed" && strings.Contains(d.Error, "User unknown"), fmt.Sprintf("%+v", d)
	})
}

// threadInMutt lets mutt open the mailbox and pick the answers to the customer's mail: its own threading must find the
// desk's answer there.
func threadInMutt(t *testing.T, pf *postfix, answerID string) {
	t.Helper()
	need(t, "mutt", "script")
	dir := t.TempDir()
	found := filepath.Join(dir, "found")
	rc := filepath.Join(dir, "muttrc")
	if err := os.WriteFile(rc, []byte(strings.Join([]string{
		"set folder=" + dir, "set spoolfile=" + filepath.Join(pf.dir, "mail", "anna"), "set sort=threads", "set strict_threads=yes", "set wait_key=no",
		"set pipe_decode=no", "set header_cache=''", "set mark_old=no", "set quit=yes", "set move=no", "set ssl_starttls=no",
		// the messages whose parent in the thread is the customer's mail, with their headers
		`push "<tag-pattern>~<(~i hagel.1@customer.example)<enter><tag-prefix><pipe-message>cat > ` + found + `<enter><exit>"`,
	}, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("timeout", "20", "script", "-qec", "mutt -n -R -F "+rc, "/dev/null")
	cmd.Env = append(os.Environ(), "TERM=xterm", "LINES=40", "COLUMNS=120", "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mutt: %v\n%q", err, out)
	}
	b, err := os.ReadFile(found)
	if err != nil {
		t.Fatalf("mutt found no answer to the customer's mail: %v\n%q", err, out)
	}
	if n := strings.Count(strings.ToLower(string(b)), "\nmessage-id: "); n != 1 || !strings.Contains(strings.ToLower(string(b)), "message-id: "+strings.ToLower(answerID)) {
		t.Errorf("mutt shows below the customer's mail:\n%s\nwant %s", b, answerID)
	}
}
