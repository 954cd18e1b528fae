package api_test

import (
	"strings"
	"testing"
)

func TestOwnChannelTrial(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		examples := h.owner.get("/channel-kinds/webhook/examples").want(200).items()
		if len(examples) < 3 || len(examples[0].list("samples")) == 0 {
			t.Fatalf("examples: %v", examples)
		}
		settings := func(receive string) map[string]any {
			return map[string]any{"receive": receive, "send": examples[0].str("send"), "api_url": examples[0].str("api_url")}
		}
		try := func(receive, body string) object {
			return h.owner.do("POST", "/channel-kinds/webhook/try", map[string]any{"settings": settings(receive), "sample": map[string]any{"body": body, "headers": map[string]string{"Content-Type": "application/json"}}}).want(200).obj()
		}
		good := try(`{"auth":{"type":"hmac","header":"X-Signature","algorithm":"sha256","encoding":"hex","secret":"geheim"},"id":"body.id","from":"body.from","text":"body.text"}`, `{"id":"1","from":"anna","text":"Hallo"}`)
		if e := good.list("events"); len(e) != 1 || e[0].str("message.text") != "Hallo" || e[0].str("sender.value") != "anna" {
			t.Errorf("events: %v", good)
		}
		if good.str("unauthentic") == "" || len(good.list("fields")) < 3 || good.str("error") != "" {
			t.Errorf("a sample without its signature is mapped all the same: %v", good)
		}
		if bad := try(`{"auth":{"type":"none"},"from":"body.from +"}`, `{}`); !strings.Contains(bad.str("error"), "receive.from") {
			t.Errorf("an expression that is none: %v", bad)
		}
		out := h.owner.do("POST", "/channel-kinds/webhook/try-outgoing", map[string]any{"settings": settings(""), "message": map[string]any{"to": "anna", "text": "Guten Tag", "choices": []string{"Ja", "Nein"}}}).want(200).obj()
		if r := out.list("items"); len(r) != 1 || !strings.Contains(r[0].str("url"), "/anna/") || !strings.Contains(r[0].str("body"), "Guten Tag") || strings.Contains(string(h.owner.do("POST", "/channel-kinds/webhook/try-outgoing", map[string]any{"settings": settings(""), "message": map[string]any{"to": "anna", "text": "x"}}).body), "change-me-as-well") {
			t.Errorf("outgoing: %v", out)
		}
		// Nothing was kept.
		for _, c := range h.owner.get("/channels").want(200).items() {
			if c.str("kind") == "webhook" {
				t.Error("trying made a channel")
			}
		}
		advisor := h.member("default", "advisor", "Ada")
		advisor.get("/channel-kinds/webhook/examples").problem(403, "forbidden")
		advisor.do("POST", "/channel-kinds/webhook/try", map[string]any{"settings": settings("{}"), "sample": map[string]any{}}).problem(403, "forbidden")
		if g := h.owner.get("/channel-kinds/webhook/guide").want(200).obj(); !strings.HasPrefix(g.str("markdown"), "# ") {
			t.Errorf("guide: %v", g)
		}
		h.owner.get("/channel-kinds/nosuch/guide").problem(404, "not_found")
	})
}

func TestRawMessage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		bot := h.channel("default", "telegram", "Zweiter Bot", map[string]string{"token": "1:geheimes-token", "secret_token": "geheim-wort", "api_url": "http://127.0.0.1:1", "mode": "webhook"})
		h.hook(bot, []byte(`{"update_id":7,"message":{"message_id":3,"date":1795000000,"from":{"id":5,"first_name":"Paul"},"chat":{"id":5,"type":"private"},"poll":{"id":"9","token":"verification","question":"1:geheimes-token?","options":[]}}}`), secretHeader, "geheim-wort").want(200)
		var m object
		h.eventually("the poll", func() bool {
			for _, r := range h.owner.get("/conversations").items() {
				if r.str("customer.name") == "Paul" {
					m = h.owner.messages(r.str("id"))[0]
				}
			}
			return m != nil
		})
		if m.str("unsupported") != "poll" {
			t.Errorf("unsupported: %v", m)
		}
		a := h.owner.get("/messages/" + m.str("id") + "/raw").want(200)
		for k, v := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"} {
			if a.header.Get(k) != v {
				t.Errorf("%s: %s", k, a.header.Get(k))
			}
		}
		text := string(a.body)
		if !strings.Contains(text, "\n      \"id\": \"9\"") || !strings.Contains(text, `"token": "•••"`) || strings.Contains(text, "geheim") {
			t.Errorf("raw: %s", text)
		}
		h.member("default", "advisor", "Ada").get("/messages/"+m.str("id")+"/raw").problem(403, "forbidden")
		h.member("default", "partner", "Paula").get("/messages/"+m.str("id")+"/raw").problem(404, "not_found")
	})
}
