package whatsapp

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// pagesMax bounds how long a list of templates is followed; an account has at most 6000 ("Templates").
const pagesMax = 100

// listed is a template as the list has it ("Templates", retrieve templates).
type listed struct {
	Name       string `json:"name"`
	Language   string `json:"language"`
	Status     string `json:"status"`
	Category   string `json:"category"`
	Rejected   string `json:"rejected_reason"`
	Format     string `json:"parameter_format"`
	Components []struct {
		Type    string `json:"type"`
		Format  string `json:"format"`
		Text    string `json:"text"`
		Buttons []struct {
			Type string `json:"type"`
			Text string `json:"text"`
			URL  string `json:"url"`
		} `json:"buttons"`
	} `json:"components"`
}

// Templates implements channel.Templater. It needs the setting business_account_id.
func (Driver) Templates(ctx context.Context, a channel.Account, env channel.Env) ([]channel.Template, error) {
	business := a.Settings["business_account_id"]
	if business == "" {
		return nil, &channel.Trouble{
			Reason: channel.Text{DE: "Ohne business_account_id lassen sich die Vorlagen nicht auflisten.", EN: "Without business_account_id the templates cannot be listed."},
			Remedy: channel.Text{DE: "Tragen Sie die WhatsApp Business Account ID aus WhatsApp → API Setup ein.", EN: "Enter the WhatsApp Business Account ID from WhatsApp → API Setup."},
			Err:    errors.New("business_account_id is missing"),
		}
	}
	g := newGraph(a, env)
	list := []channel.Template{}
	after := ""
	for range pagesMax {
		query := url.Values{"limit": {"100"}, "fields": {"name,language,status,category,rejected_reason,parameter_format,components"}}
		if after != "" {
			query.Set("after", after)
		}
		var page struct {
			Data   []listed `json:"data"`
			Paging struct {
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
				Next string `json:"next"` // its presence says that there is more; it holds the token and is not followed
			} `json:"paging"`
		}
		if err := harmless(g.get(ctx, business+"/message_templates", query, "list templates", &page)); err != nil {
			return nil, trouble(err)
		}
		for _, t := range page.Data {
			if one, ok := t.template(); ok {
				list = append(list, one)
			}
		}
		if page.Paging.Next == "" || page.Paging.Cursors.After == "" || page.Paging.Cursors.After == after {
			break
		}
		after = page.Paging.Cursors.After
	}
	return list, nil
}

var placeForm = regexp.MustCompile(`\{\{\s*([^{}]+?)\s*\}\}`)

// template translates one; false for those that are being deleted.
func (l listed) template() (channel.Template, bool) {
	t := channel.Template{Name: l.Name, Language: strings.ReplaceAll(l.Language, "_", "-"), Category: l.Category}
	switch l.Status { // "Template status"
	case "APPROVED":
		t.Status = channel.Approved
	case "REJECTED":
		t.Status = channel.Rejected
	case "PAUSED", "DISABLED", "LIMIT_EXCEEDED":
		t.Status, t.Why = channel.Paused, l.Status
	case "DELETED", "PENDING_DELETION", "ARCHIVED":
		return t, false
	default: // PENDING, IN_APPEAL and what comes
		t.Status = channel.Pending
	}
	if l.Rejected != "" && l.Rejected != "NONE" {
		t.Why = l.Rejected
	}
	unfit := func(why string) {
		if t.Unfit == "" {
			t.Unfit = why
		}
	}
	if strings.EqualFold(l.Format, "NAMED") {
		unfit("it has named parameters")
	}
	for _, c := range l.Components {
		switch strings.ToUpper(c.Type) {
		case "HEADER":
			if !strings.EqualFold(c.Format, "TEXT") {
				unfit("its header is a file or a place")
				break
			}
			t.Header = c.Text
			if placeForm.MatchString(c.Text) {
				unfit("its header has a parameter")
			}
		case "BODY":
			t.Body = c.Text
			for _, place := range placeForm.FindAllStringSubmatch(c.Text, -1) {
				n, err := strconv.Atoi(place[1])
				if err != nil || n < 1 || n > 100 {
					unfit("it has named parameters")
					continue
				}
				t.Params = max(t.Params, n)
			}
		case "FOOTER":
			t.Footer = c.Text
		case "BUTTONS":
			other := false
			for _, b := range c.Buttons {
				switch strings.ToUpper(b.Type) {
				case "QUICK_REPLY":
					if other {
						unfit("its quick replies come after other buttons")
					}
					t.Buttons = append(t.Buttons, b.Text)
				case "URL":
					other = true
					if placeForm.MatchString(b.URL) {
						unfit("a link in it has a parameter")
					}
				case "PHONE_NUMBER", "VOICE_CALL", "REQUEST_CONTACT_INFO":
					other = true
				default: // OTP, COPY_CODE, FLOW, CATALOG, MPM, SPM …
					other = true
					unfit("it has a button of type " + channel.CleanName(b.Type))
				}
			}
		default: // CAROUSEL, LIMITED_TIME_OFFER …
			unfit("it has a part of type " + channel.CleanName(c.Type))
		}
	}
	return t, true
}
