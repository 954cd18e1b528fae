package line

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

type push struct {
	To       string    `json:"to"`
	Messages []textual `json:"messages"`
}

// textual is a text message with quick replies.
type textual struct {
	Type       string      `json:"type"`
	Text       string      `json:"text"`
	QuickReply *quickReply `json:"quickReply,omitempty"`
}

type quickReply struct {
	Items []item `json:"items"`
}

type item struct {
	Type   string   `json:"type"`
	Action postback `json:"action"`
}

type postback struct {
	Type        string `json:"type"`
	Label       string `json:"label"`
	Data        string `json:"data"`
	DisplayText string `json:"displayText"`
}

// render makes the requests of a message: at most five texts each, the quick replies under the last one, as LINE shows
// only those of the newest message.
func render(out channel.Outgoing) ([]push, error) {
	parts, err := Driver{}.Capabilities().Parts(out)
	if err != nil {
		return nil, err
	}
	var calls []push
	for i, p := range parts {
		if i%callMax == 0 {
			calls = append(calls, push{To: out.To.Value})
		}
		m := textual{Type: "text", Text: p.Text}
		if len(p.Choices) > 0 {
			m.QuickReply = &quickReply{}
			for _, c := range p.Choices {
				// With displayText the customer's choice stands in the chat, as if it had been written.
				m.QuickReply.Items = append(m.QuickReply.Items, item{"action", postback{"postback", c.Label, c.Data, c.Label}})
			}
		}
		last := &calls[len(calls)-1]
		last.Messages = append(last.Messages, m)
	}
	return calls, nil
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// retryKey is the X-Line-Retry-Key of the n-th request of a delivery: the delivery's own UUID, then such as follow from it
// (RFC 9562 §5.8).
func retryKey(deliveryID string, n int) string {
	id := strings.ToLower(deliveryID)
	if n == 0 && uuidForm.MatchString(id) {
		return id
	}
	h := sha256.Sum256(fmt.Appendf(nil, "line push %d of %s", n, deliveryID))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Send implements channel.Sender ("Send push message").
func (Driver) Send(ctx context.Context, a channel.Account, out channel.Outgoing, env channel.Env) (channel.Receipt, error) {
	calls, err := render(out)
	if err != nil {
		return channel.Receipt{}, err
	}
	steps := make([]channel.Part, len(calls))
	for i := range steps {
		steps[i].Text = strconv.Itoa(i)
	}
	// One request gives several ids, one part of SendParts has one: they travel joined.
	receipt, err := channel.SendParts(ctx, env, steps, func(ctx context.Context, step channel.Part) (string, error) {
		n, _ := strconv.Atoi(step.Text)
		ids, err := request(ctx, a, env, calls[n], retryKey(out.DeliveryID, n))
		return strings.Join(ids, ","), err
	})
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Receipt != nil {
		r := apart(*failure.Receipt)
		failure.Receipt = &r
	}
	return apart(receipt), err
}

// apart takes joined ids apart.
func apart(r channel.Receipt) channel.Receipt {
	ids := strings.Split(strings.Join(append([]string{r.ExternalID}, r.Parts...), ","), ",")
	r.ExternalID, r.Parts = ids[0], nil
	if len(ids) > 1 {
		r.Parts = ids[1:]
	}
	return r
}

func request(ctx context.Context, a channel.Account, env channel.Env, p push, key string) ([]string, error) {
	answer, err := channel.JSON(apiURL(a.Settings)+"/v2/bot/message/push", p).
		Bearer(a.Settings["channel_access_token"]).With("X-Line-Retry-Key", key).Do(ctx, env.HTTP)
	if err != nil {
		return nil, err
	}
	// "Retry failed API requests": 409 means that an earlier request with this key was accepted; the body names its messages.
	if !answer.OK() && answer.Status != http.StatusConflict {
		return nil, refusal(answer)
	}
	var ok struct {
		SentMessages []struct {
			ID string `json:"id"`
		} `json:"sentMessages"`
	}
	derr := decode(answer.Body, &ok)
	var ids []string
	for _, m := range ok.SentMessages {
		if m.ID != "" && !strings.Contains(m.ID, ",") {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	if answer.Status == http.StatusConflict {
		if id := answer.Header.Get("X-Line-Accepted-Request-Id"); id != "" && !strings.Contains(id, ",") {
			return []string{"request:" + id}, nil
		}
	}
	return nil, channel.Uncertainly(fmt.Errorf("push: status %d without sentMessages (%v)", answer.Status, derr))
}

func decode(raw []byte, into any) error {
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(into); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// refusal says what an answer that is no success means (Messaging API, "Status codes", "Error responses").
func refusal(a channel.Answer) *channel.SendError {
	var said struct {
		Message string `json:"message"`
		Details []struct {
			Message  string `json:"message"`
			Property string `json:"property"`
		} `json:"details"`
	}
	code := strconv.Itoa(a.Status)
	if err := json.Unmarshal(a.Body, &said); (err != nil || said.Message == "") && a.Status < 500 && a.Status != http.StatusTooManyRequests {
		return channel.Unexpected(a, "LINE")
	}
	words := clip(said.Message)
	about := ""
	for _, d := range said.Details {
		about = d.Property
		words += "; " + clip(d.Property) + ": " + clip(d.Message)
	}
	e := &channel.SendError{Class: channel.Permanent, Code: code, Err: errors.New("LINE: " + words), Reason: channel.Text{
		DE: "LINE hat die Nachricht abgelehnt: " + words, EN: "LINE refused the message: " + words}}
	lower := strings.ToLower(said.Message)
	switch {
	case a.Status == http.StatusTooManyRequests && strings.Contains(lower, "monthly limit"):
		e.Class, e.Reason = channel.Misconfig, channel.Text{
			DE: "Das Monatskontingent des LINE-Kontos ist verbraucht: Tarif oder Höchstzahl im LINE Official Account Manager ändern.",
			EN: "The monthly allowance of the LINE account is used up: change plan or maximum in the LINE Official Account Manager."}
	case a.Status == http.StatusTooManyRequests:
		e.Class, e.RetryAfter = channel.RateLimited, max(a.RetryAfter(), time.Second) // LINE names no time
		e.Reason = channel.Text{DE: "LINE nimmt gerade nicht mehr Nachrichten an.", EN: "LINE takes no more messages right now."}
	case a.Status == http.StatusBadRequest && (strings.Contains(lower, "'to'") || about == "to" || strings.Contains(lower, "failed to send messages")):
		e.Class, e.Reason = channel.NotHere, channel.Text{
			DE: "Diese LINE-Kennung gibt es für dieses Konto nicht.", EN: "This LINE id does not exist for this account."}
	case a.Status == http.StatusUnauthorized:
		e.Class, e.Reason = channel.Misconfig, channel.Text{
			DE: "Das Channel access token ist falsch oder abgelaufen.", EN: "The channel access token is wrong or has expired."}
	case a.Status == http.StatusForbidden:
		e.Class, e.Reason = channel.Misconfig, channel.Text{
			DE: "Das LINE-Konto darf das nicht (Tarif oder Berechtigung).", EN: "The LINE account may not do that (plan or permission)."}
	case a.Status == http.StatusNotFound:
		e.Class, e.Reason = channel.Misconfig, channel.Text{
			DE: "LINE kennt diese Adresse der Schnittstelle nicht: api_url prüfen.", EN: "LINE does not know this address of its API: check api_url."}
	case a.Status >= 500:
		// The retry key makes a second attempt safe, whether or not this one was carried out.
		e.Class, e.RetryAfter, e.Reason = channel.Temporary, a.RetryAfter(), channel.Text{
			DE: "LINE hat gerade eine Störung; es wird erneut versucht.", EN: "LINE has a disturbance; it is tried again."}
	}
	return e
}
